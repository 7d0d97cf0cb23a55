//go:build race

package e2e

var buildFlags = []string{"-race"}

// raceFactor is how much more memory a race build may take.
const raceFactor = 5
