#compdef stillframe
# Completions of stillframe for zsh. The program itself is asked for what may follow; it asks no network.
_stillframe() {
    local line value entry
    local -a whole open
    for line in "${(@f)$("${words[1]}" complete $((CURRENT - 1)) -- "${(@Q)words}" 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        value=${line%%$'\t'*}
        entry=${value//:/\\:}
        [[ $line == *$'\t'* ]] && entry+=":${line#*$'\t'}"
        case $value in
            (*[/:=]) open+=("$entry") ;;
            (*) whole+=("$entry") ;;
        esac
    done
    (( $#whole )) && _describe 'stillframe' whole
    (( $#open )) && _describe 'stillframe' open -S ''
}
if [[ $funcstack[1] == _stillframe ]]; then
    _stillframe "$@"
else
    compdef _stillframe stillframe
fi
