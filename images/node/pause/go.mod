module millrace.dev/node/pause

go 1.21
