//go:build !unix

package main

import (
	"errors"
	"time"
)

// cpuTime needs getrusage.
func cpuTime() (time.Duration, error) {
	return 0, errors.ErrUnsupported
}
