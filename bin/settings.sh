# shellcheck shell=bash
# The settings of a script: whether they make sense, and whether a folder was begun with others. `lib.sh` sources this
# file, and has what is used here: `say`, `python_alone`, `quoted`.
#
# A setting that holds options of a command is an array, so that a value may have blanks in it:
#
#   given READER_OPTIONS || READER_OPTIONS=(--dropout 0 --question-prefix "my question:")
#
# The environment cannot hold arrays. There it is one string, split into words as a shell would split it:
#
#   READER_OPTIONS='--dropout 0 --question-prefix "my question:"' bin/iterate.sh toy 2
#
# Arrays that may be empty are expanded as ${a[@]+"${a[@]}"}: bash before 4.4 takes an empty array for an unset one.

# refuse NAME WHAT: end with a usage error that says what the setting must be
refuse() { say "setting $1: ${!1} is not valid: it must be $2"; exit 2; }

# counts zero|one NAME…: refuse settings that are no whole number from there to the largest count (one) or seed (zero)
counts() {
  local least=$1 most=2147483647 name; shift
  [[ $least == one ]] || most=4294967295
  for name in "$@"; do
    [[ ${!name} =~ ^(0|[1-9][0-9]{0,9})$ && ${!name} -le $most && ! ( $least == one && ${!name} == 0 ) ]] \
      || refuse "$name" "an integer from $least to $most, without leading zeros"
  done
}

# within NUMBER LEAST MOST: whether it is a number between them, both included
within() {
  [[ $1 =~ ^[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?$ ]] && LC_ALL=C awk -v x="$1" -v least="$2" -v most="$3" \
    'BEGIN { exit !(x + 0 >= least + 0 && x + 0 <= most + 0) }'
}

# positive NAME…: refuse settings that are no number above zero
positive() {
  local name
  for name in "$@"; do within "${!name}" 1e-300 1e9 || refuse "$name" "a number above zero and up to 1e9"; done
}

# is_array NAME
is_array() { [[ $(declare -p "$1" 2>/dev/null) == "declare -a"* ]]; }

# given NAME: whether the setting has a value: an array, also an empty one, or a string that is not empty
given() { is_array "$1" || [[ -n ${!1-} ]]; }

# split_words STRING: its words, each ended by a NUL, then the word `end`. Quotes and backslashes group words; nothing is
# expanded and nothing is run.
split_words() {
  python_alone '
import os, shlex, sys
try:
    words = shlex.split(sys.argv[1])
except ValueError as error:
    sys.exit(f"cannot split {sys.argv[1]!r} into words: {str(error).lower()}")
sys.stdout.buffer.write(b"".join(os.fsencode(word) + b"\0" for word in [*words, "end"]))' "$1"
}

# read_options NAME…: turn settings that are strings into arrays, and unset empty strings
read_options() {
  local name word words last
  for name in "$@"; do
    if is_array "$name"; then continue; fi
    if ! given "$name"; then unset "$name"; continue; fi
    words=() last=
    while IFS= read -r -d '' word; do words+=("$word") last=$word; done < <(split_words "${!name}")
    [[ $last == end ]] || { say "setting $name: not a list of options"; exit 2; }
    unset "$name" "words[${#words[@]}-1]"
    # bash 3.2 has no other way to assign an array by name; only the name is evaluated, never the words
    eval "$name=(\${words[@]+\"\${words[@]}\"})"
  done
}

# setting NAME: the line NAME=VALUE that a run keeps in settings.txt; options are quoted where they need it
setting() {
  local words
  if is_array "$1"; then
    eval "words=(\${$1[@]+\"\${$1[@]}\"})"
    printf '%s=%s\n' "$1" "$(quoted ${words[@]+"${words[@]}"})"
  else
    printf '%s=%s\n' "$1" "${!1-}"
  fi
}

# keep_settings FOLDER NAME…: a run keeps its settings, so that outputs of other settings are not mistaken for its own
keep_settings() {
  local folder=$1 now name; shift
  now=$(for name in "$@"; do setting "$name"; done)
  [[ $DRY_RUN != 1 ]] || return 0
  mkdir -p "$folder"
  if [[ ! -f $folder/settings.txt ]]; then   # whole or absent: half of it would be other settings
    printf '%s\n' "$now" >"$folder/settings.txt.part"
    mv "$folder/settings.txt.part" "$folder/settings.txt"
    return
  fi
  # where the power failed, a file may be left empty or full of zeros
  if ! tr -d '\0' <"$folder/settings.txt" | grep -q .; then
    say "$folder/settings.txt: damaged: the settings of the run are not known; remove the folder, or only this file" \
      "to trust those of now"
    exit 1
  fi
  diff "$folder/settings.txt" <(printf '%s\n' "$now") >&2 && return
  say "${0##*/}: $folder was started with other settings (< then, > now): choose another folder, or remove it"
  exit 2
}

# name_unknown NAME…: warn of variables of the environment that are called like settings and are none of these
name_unknown() {
  local name prefix='(READER|RETRIEVER|TEACHER|BM25|READ|EMBED|RETRIEVE|EVAL|SCORE|LIKELIHOOD)_'
  local whole='(PROFILE|FETCH|DO[CK]UMENT[A-Z]*|QUESTION[A-Z]*|QUESTION_MODEL)$'
  while IFS= read -r name; do
    [[ " $* " == *" $name "* ]] ||
      say "warning: $name is not used: it is no setting of this dataset and profile (docs/settings.md lists them)"
  done < <(compgen -e | grep -E "^($prefix|(TRAIN|DEV|TEST)_QUESTIONS|$whole)")
}
