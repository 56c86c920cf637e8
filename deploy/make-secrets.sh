#!/bin/sh
# Makes the secrets that docker-compose.yml mounts, once: what is there is kept. For folder: its only argument.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
# The folder keeps others out; the files are readable because the users inside the containers are none of ours.
chmod 700 "$folder"

random() {
    head -c "$1" /dev/urandom | base64 | tr -d '\n'
}

keep_or_write() {
    if [ -s "$folder/$1" ]; then
        echo "kept $folder/$1"
        cat > /dev/null
    else
        cat > "$folder/.$1.draft"
        chmod 444 "$folder/.$1.draft"
        mv "$folder/.$1.draft" "$folder/$1"
        echo "made $folder/$1"
    fi
}

for role in postgres masthead temporal; do
    random 24 | tr '+/' '-_' | keep_or_write "${role}_db_password"
done
printf 'postgresql://masthead:%s@postgres:5432/masthead' "$(cat "$folder/masthead_db_password")" | keep_or_write database_url
random 32 | keep_or_write masthead_secret_key
