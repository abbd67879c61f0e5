# Completions of stillframe for bash. The program itself is asked for what may follow; it asks no network.
_stillframe() {
    local LC_ALL=C IFS=$' \t\n'
    local rest=${COMP_LINE:0:COMP_POINT} current= start= breaks= value= about= at=
    local -a words=()
    # bash breaks words at `:` and `=`, which names of images hold; they are put together again.
    for ((at = 0; at <= COMP_CWORD; at++)); do
        if [[ $at -eq 0 || $rest == [[:space:]]* ]]; then
            rest=${rest#"${rest%%[![:space:]]*}"}
            words+=("")
        fi
        value=${COMP_WORDS[at]}
        [[ $at -eq $COMP_CWORD ]] && value=$rest
        words[${#words[@]}-1]+=$value
        rest=${rest#"$value"}
    done
    current=${words[${#words[@]}-1]}
    # What stands before the last break stays on the line and is not to be repeated.
    breaks=${COMP_WORDBREAKS//[!:=@]/}
    [[ -n $breaks && $current == *[$breaks]* ]] && start=${current%"${current##*[$breaks]}"}
    COMPREPLY=()
    while IFS=$'\t' read -r value about; do
        value=${value#"$start"}
        [[ $value == *[[:space:]]* ]] && printf -v value %q "$value"
        COMPREPLY+=("$value")
    done < <("$1" complete "$((${#words[@]} - 1))" -- "${words[@]}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:=] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _stillframe stillframe
