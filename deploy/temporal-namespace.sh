#!/bin/sh
# Waits for Temporal (TEMPORAL_ADDRESS), then makes the namespace TEMPORAL_NAMESPACE, or brings it to its retention.
set -eu
retention="${MASTHEAD_RETENTION_DAYS:-30}d"
tries=0
until temporal operator cluster health > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then
        echo "Temporal at $TEMPORAL_ADDRESS did not become healthy" >&2
        temporal operator cluster health
        exit 1
    fi
    sleep 2
done
if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" > /dev/null 2>&1; then
    temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$retention"
else
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$retention" --description Masthead
fi
