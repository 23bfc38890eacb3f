# Sourced by demo and test: makes .venv if it is missing and installs what pyproject.toml names.
# Usage: environment EXTRA

environment() {
    cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
    if [ ! -x .venv/bin/python ]; then
        local python
        for python in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
            if [ -n "$python" ] && "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
                break
            fi
            python=""
        done
        if [ -z "$python" ]; then
            echo "no Python 3.11 or later with venv found: install one, or name it in PYTHON" >&2
            exit 2
        fi
        echo "making .venv with $("$python" --version)" >&2
        "$python" -m venv .venv || exit 2
    fi
    # The stamp holds what was installed for: pip runs again when pyproject.toml changes.
    local stamp=".venv/installed-$1"
    if ! cmp -s pyproject.toml "$stamp"; then
        echo "installing adaptive_jax[$1] and what it needs" >&2
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$1]" || exit 2
        cp pyproject.toml "$stamp"
    fi
}
