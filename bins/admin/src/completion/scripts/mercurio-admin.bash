# Completion of mercurio-admin for bash. The program knows the words, and asks the database for names.

_mercurio_admin() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        case $word in
            # No word begins with a blank: the program asks for folders, or files.
            ' folders') compopt -o dirnames 2>/dev/null ;;
            ' files') compopt -o default 2>/dev/null ;;
            *=) compopt -o nospace 2>/dev/null; COMPREPLY+=("$word") ;;
            *) COMPREPLY+=("$word") ;;
        esac
    done < <("$1" __complete bash "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}

# bash 3 always sorts.
complete -o nosort -F _mercurio_admin mercurio-admin 2>/dev/null || complete -F _mercurio_admin mercurio-admin
