package main

import (
	"os"
	"runtime/debug"
)

// init lets the heap grow to three times what is in use before it is collected, where GOGC does not say otherwise:
// a loaded system lives on what its caches hold, which is little, and collecting it twice as often costs a tenth of
// its throughput.
func init() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}
