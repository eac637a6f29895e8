#!/bin/sh
# Draws a picture with nothing but curl, and saves it.
#   sh examples/curl.sh "a happy cactus in the desert" cactus.png
# ORIGIN and API_KEY as `npm start` prints them; the key is read from .local/api-key otherwise.
set -eu
prompt=${1:-a happy cactus in the desert}
file=${2:-picture.png}
origin=${ORIGIN:-http://127.0.0.1:8787}
key=${API_KEY:-$(cat .local/api-key)}
curl --fail-with-body --silent --show-error "$origin/v1/images/generations" \
  -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
  -d "{\"prompt\": \"$prompt\"}" |
  sed 's/.*"b64_json":"\([^"]*\)".*/\1/' | base64 -d >"$file"
echo "$file"
