//go:build race

package e2e_test

// raceEnabled: SQLite, which is C translated to Go, is ten times slower under the race detector.
const raceEnabled = true
