#!/bin/sh
# Waits for Temporal (TEMPORAL_ADDRESS), then makes the namespace TEMPORAL_NAMESPACE, or brings it to its retention.
set -eu
retention="${MASTHEAD_RETENTION_DAYS:-30}d"

# A server that has just started answers before it serves, and knows a namespace only some seconds after it was made.
until_done() {
    left=60
    until "$@" > /dev/null 2>&1; do
        left=$((left - 1))
        if [ "$left" -eq 0 ]; then
            "$@" # once more, to be heard
            return
        fi
        sleep 1
    done
}

until_done temporal operator cluster health
if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" > /dev/null 2>&1; then
    until_done temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$retention"
else
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$retention" --description Masthead
fi
echo "namespace $TEMPORAL_NAMESPACE keeps ended workflows for $retention"
