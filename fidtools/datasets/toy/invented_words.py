"""The words of the toy worlds: names of people and the four kinds of values."""

FIRST_NAMES = (
    "Ada Bela Cyra Dario Edda Fabio Gerda Hanno Ilka Jonas Kira Lorenz Mira Nils Odile Pavel Quinn Rosa Sven Tilda "
    "Ugo Vera Wanda Xenia Yann Zora Anton Britta Carlo Dunja Emil Frida Georg Hedda Ivo Jette Klaus Lena Marek Nadja"
).split()

LAST_NAMES = (
    "Adler Brandt Czerny Dorn Ekberg Falk Gruber Holm Ivers Jansen Kessler Lindt Moser Nagel Oster Pichler Quist "
    "Reuter Sander Thoma Ullman Vogt Weber Xaver Ypsen Zander Arndt Bauer Corvin Decker Engel Frost Gerster Hagen "
    "Imhof Jung Kranz Lorch Meinert Norden"
).split()

TOWNS = (
    "Albrun Borvik Carnow Delmar Estrop Farlow Gondar Halvik Istria Jorden Kelmar Lunow Marvik Nestow Orlen Pelgar "
    "Quedal Rostra Selvik Tarnow Ulmen Vardal Welmar Xantow Yelnik Zelden Arvik Belnow Cordal Drelen Elvar Felnik "
    "Garnow Hesdal Ilmar Jelvik Kardal Lesmar Monvik Norlen"
).split()

TRADES = (
    "baker barber beekeeper blacksmith bookbinder brewer butcher carpenter clockmaker cobbler cooper diver dyer "
    "farrier fisher florist gardener glazier goldsmith hatter joiner locksmith mason miller miner painter plumber "
    "potter printer roofer saddler sailor shepherd surveyor tailor tanner thatcher tinker weaver woodcutter"
).split()

ANIMALS = (
    "badger bat beaver boar buzzard camel crane crow deer donkey falcon ferret fox frog goat goose hamster hare "
    "hedgehog heron horse lizard lynx marten mole mouse otter parrot peacock pigeon rabbit raven salamander snake "
    "spider squirrel stork swan toad wolf"
).split()

DISHES = (
    "asparagus barley beetroot borscht broccoli cabbage carrots caviar celery cheese chestnuts couscous crab "
    "dumplings eel fennel goulash halibut herring kale lentils liver mushrooms mussels noodles olives omelette "
    "oysters pancakes parsnips porridge pumpkin radish ravioli risotto sauerkraut spinach trout turnips venison"
).split()

VALUES = {"town": TOWNS, "trade": TRADES, "animal": ANIMALS, "dish": DISHES}
