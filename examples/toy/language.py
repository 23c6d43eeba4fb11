"""The language of the toy worlds as the checkpoints know it: its words, its tokenizers, and more ways to say a fact.

`OTHER_STATEMENTS` are plain statements in the words of the questions. They occur in no toy world. The *reader's*
checkpoint reads them, as any pre-trained reader has read "… was born in …"; the *retriever's* never does.
"""

import re
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from fidtools.datasets.toy.invented_words import FIRST_NAMES, LAST_NAMES, VALUES
from fidtools.datasets.toy.relations import CLOSERS, RELATIONS, SOURCES

TOKEN = r"<\w+>|</s>|\w+:?|[^\w\s]"
READER_SPECIAL = ("<pad>", "</s>", "<unk>", "<extra_id_0>")
RETRIEVER_SPECIAL = ("<pad>", "<unk>", "<cls>", "<sep>", "<mask>")

OTHER_STATEMENTS = {
    "born": (
        "{e} was born in {v}",
        "{e} did come into the world in the town of {v}",
        "the birthplace of {e} is {v}",
    ),
    "home": (
        "{e} chose to live now in {v}",
        "the address of {e} is in {v}",
        "{e} does reside in the city of {v}",
    ),
    "trade": (
        "the profession of {e} is that of a {v}",
        "{e} does have the job of a {v}",
        "what {e} does for a living is the work of a {v}",
    ),
    "dream": (
        "the career in the dream of {e} was that of a {v}",
        "the ambition of {e} was to be a {v}",
        "{e} did want to be a {v} when grown up",
    ),
    "pet": (
        "the pet that {e} does own is a {v}",
        "the animal that belongs to {e} is a {v}",
        "the creature that {e} does keep is a {v}",
    ),
    "fear": (
        "{e} is afraid of the {v}",
        "the beast for {e} to fear is the {v}",
        "what frightens {e} the most is the {v}",
    ),
    "favourite": (
        "the favourite dish of {e} is {v}",
        "the food that {e} does love is {v}",
        "what {e} does like to eat best is {v}",
    ),
    "dislike": (
        "the meal that {e} does hate is {v}",
        "what disgusts {e} is {v}",
        "{e} can not stand {v} on the menu",
    ),
}


def texts() -> Iterator[str]:
    """Every text that a word of the language occurs in."""
    yield "question: title: context: . ? ,"
    for words in (FIRST_NAMES, LAST_NAMES, CLOSERS, SOURCES, *VALUES.values()):
        yield " ".join(words)
    for relation in RELATIONS:
        yield " ".join(relation.statements + relation.questions + relation.asides)
        yield " ".join(OTHER_STATEMENTS[relation.name])


def vocabulary(special: tuple[str, ...]) -> dict[str, int]:
    """Token -> id: the special tokens, then every word in order."""
    words = {word for text in texts() for word in re.findall(TOKEN, re.sub(r"\{.\}", " ", text).lower())}
    return {token: i for i, token in enumerate([*special, *sorted(words)])}


def word_level(special: tuple[str, ...], template: str) -> Tokenizer:
    """A tokenizer of lower-cased words that frames a text as the template says."""
    vocab = vocabulary(special)
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(TOKEN), behavior="removed", invert=True)
    framing = [(token, vocab[token]) for token in template.split() if token != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=framing)
    return tokenizer


def reader_tokenizer() -> PreTrainedTokenizerFast:
    """The T5 reader's tokenizer; every text ends with </s>."""
    return PreTrainedTokenizerFast(
        tokenizer_object=word_level(READER_SPECIAL, "$A </s>"),
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<extra_id_0>"],
        model_max_length=512,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def retriever_tokenizer() -> PreTrainedTokenizerFast:
    """The BERT retriever's tokenizer; every text stands between <cls> and <sep>."""
    return PreTrainedTokenizerFast(
        tokenizer_object=word_level(RETRIEVER_SPECIAL, "<cls> $A <sep>"),
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<cls>",
        sep_token="<sep>",
        mask_token="<mask>",
        model_max_length=128,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
