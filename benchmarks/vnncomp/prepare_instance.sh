#!/bin/bash
# Usage: prepare_instance.sh v1 CATEGORY NETWORK QUERY
# Nothing is prepared; what isn't there or not for this tool is skipped.
[ "$1" = v1 ] && [ -f "$3" ] && [ -f "$4" ]
