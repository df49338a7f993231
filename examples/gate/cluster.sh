#!/usr/bin/env bash
# For those whose GPU is on a cluster and whose CI is not: the gate runs there, the commit gets its status.
#
#   sbatch --gres=gpu:1 --time=4:00:00 cluster.sh OWNER/REPOSITORY COMMIT
#
# Wants a checkout of the commit as the working directory, vla-bench installed, and GITHUB_TOKEN with the permission
# "commit statuses". For GitLab: POST $CI_API_V4_URL/projects/ID/statuses/COMMIT with state=success|failed.
set -uo pipefail
repository=$1
commit=$2

vla-bench run --policy policy.yaml --suite metaworld_mt10 --protocol compact \
  --task reach-v3 --task drawer-close-v3 --task window-open-v3 --trials 10 \
  --name candidate --db gate.db
code=$?
if [ $code -eq 0 ]; then
  vla-bench gate candidate --baseline baseline.json --thresholds thresholds.yaml --summary gate.md --db gate.db
  code=$?
fi
case $code in
  0) state=success text="no worse than the margin allows" ;;
  1) state=failure text="worse than the margin allows" ;;
  3) state=error text="incomplete: the same command goes on" ;;
  4) state=failure text="inconclusive: too few episodes" ;;
  *) state=error text="the gate could not answer, exit code $code" ;;
esac
curl --fail --silent --show-error --request POST \
  --header "Authorization: Bearer $GITHUB_TOKEN" --header "Accept: application/vnd.github+json" \
  --data "{\"state\": \"$state\", \"context\": \"vla-bench gate\", \"description\": \"$text\"}" \
  "${GITHUB_API_URL:-https://api.github.com}/repos/$repository/statuses/$commit" > status.json
exit $code
