# Four helpers for the commands in the README and in docs/guide. Read it into your shell:  . docs/samples/session.sh
# It needs curl and python3. RAPPORT is the address of the server, KEY an API key or an access token.
export RAPPORT="${RAPPORT:-http://127.0.0.1:8000}"

# api PATH [curl options]: ask the API as the holder of KEY; a refusal prints its problem document and fails.
api() {
    local path="$1" LC_ALL=C
    shift
    case "$path" in *[!\ -~]*) # a web address is ASCII
        path="$(python3 -c 'import sys, urllib.parse as u; print(u.quote(sys.argv[1], safe="/?&=%:,.[]@+*!~"))' "$path")" ;;
    esac
    curl --silent --globoff --fail-with-body --header "Authorization: Bearer ${KEY:-}" "$@" "$RAPPORT$path" && return
    local code=$? # 22: refused, and the answer says why
    [ "$code" = 22 ] || echo "curl ended with $code; does Rapport answer at $RAPPORT?" >&2
    return "$code"
}

# send PATH JSON [curl options]: the same with a JSON body; POST unless told otherwise.
send() {
    local path="$1" body="$2"
    shift 2
    api "$path" --header 'Content-Type: application/json' --data "$body" "$@"
}

# ended PATH: wait for an import or a job to end, a minute at most, and print its state.
ended() {
    local state
    for _ in $(seq 300); do
        state="$(api "$1" | show state)"
        case "$state" in
            completed | completed_with_errors | succeeded | failed | dead | cancelled) echo "$state"; return 0 ;;
            queued | waiting | validating | in_progress | running) sleep 0.2 ;;
            *) echo "$state"; return 1 ;;
        esac
    done
    return 1
}

# show FIELD …: the fields of a JSON answer, one line for each record; all of it without fields, or when it is a
# refusal that has no such fields.
show() {
    python3 -c '
import functools, json, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has enough, as head, ends it quietly
answer = json.load(sys.stdin)
paths = sys.argv[1:]
refused = isinstance(answer, dict) and str(answer.get("type")).startswith("/problems/")
if not paths or (refused and not all(path.split(".")[0] in answer for path in paths)):
    sys.exit(print(json.dumps(answer, indent=2, ensure_ascii=False)))
def step(value, name):
    if isinstance(value, list):
        return value[int(name)] if int(name) < len(value) else None
    return (value or {}).get(name)
def text(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
records = answer.get("data", [answer]) if isinstance(answer, dict) else answer
for record in records:
    print("  ".join(text(functools.reduce(step, path.split("."), record)) for path in paths))
' "$@"
}
