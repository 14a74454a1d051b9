#compdef mercurio-admin
# Completion of mercurio-admin for zsh. The program knows the words, and asks the database for names.

_mercurio_admin() {
    local current=$PREFIX line word
    local -a described open
    # Words as the program receives them. Within quotes, PREFIX has none.
    [[ -z $compstate[quote] ]] && current=${(Q)PREFIX}
    for line in "${(@f)$("${(Q)words[1]}" __complete zsh "${(@Q)words[2,CURRENT-1]}" "$current" 2>/dev/null)}"; do
        case $line in
            '') ;;
            ' folders') _files -/ ;;
            ' files') _files ;;
            # `_describe` takes what follows the first colon for the description, and a backslash for an escape.
            *)
                word=${${line%%$'\t'*}//\\/\\\\}
                word=${word//:/\\:}
                if [[ $word == *= ]]; then
                    open+=("$word")
                elif [[ $line == *$'\t'* ]]; then
                    described+=("$word:${line#*$'\t'}")
                else
                    described+=("$word")
                fi
                ;;
        esac
    done
    # Names ignore case.
    local matcher='m:{[:lower:][:upper:]}={[:upper:][:lower:]}'
    (( $#described )) && _describe -V 'mercurio-admin' described -M $matcher
    (( $#open )) && _describe -V 'mercurio-admin' open -M $matcher -S ''
}

# Both ways work: a file `_mercurio-admin` in $fpath, and `source <(mercurio-admin completion zsh)`.
if [[ $funcstack[1] == _mercurio-admin ]]; then
    _mercurio_admin "$@"
else
    # A new zsh has no completion before this.
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _mercurio_admin mercurio-admin
fi
