# Completion of mercurio-admin for fish. The program knows the words, and asks the database for names.

function __mercurio_admin_complete
    set -l words (commandline --current-process --cut-at-cursor --tokenize)
    set -l current (commandline --current-token --cut-at-cursor)
    for line in ($words[1] __complete fish $words[2..] "$current" 2>/dev/null)
        switch $line
            case ' folders'
                __fish_complete_directories "$current" ''
            case ' files'
                __fish_complete_path "$current"
            case '*'
                echo $line
        end
    end
end

complete --command mercurio-admin --erase
complete --command mercurio-admin --no-files --keep-order --arguments '(__mercurio_admin_complete)'
