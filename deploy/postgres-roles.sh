#!/bin/sh
# Run by the Postgres image once, when its data folder is new: a role and a database for Masthead, and a role for Temporal,
# whose schema tool makes that one's databases.
set -eu
export SECRETS="${SECRETS:-/run/secrets}"
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
-- Read by psql itself, so that no password stands in the list of processes.
\set masthead `cat "$SECRETS/masthead_db_password"`
\set temporal `cat "$SECRETS/temporal_db_password"`
create role masthead login password :'masthead';
create role temporal login createdb password :'temporal';
-- Postgres' own collation: the order of text must not depend on the C library of an image.
create database masthead owner masthead template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'
    locale_provider builtin builtin_locale 'C.UTF-8';
revoke connect on database masthead from public;
SQL
