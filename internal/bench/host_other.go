//go:build !linux

package main

import "time"

// Only on Linux processes are bound to CPUs. The report says so.

func allowedCPUs() ([]int, error) { return nil, nil }

func confine([]int) (release func(), err error) { return func() {}, nil }

func startOn(_ []int, start func() error) error { return start() }

func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }

// residentBytes is not known: the report shows 0.
func residentBytes() (uint64, error) { return 0, nil }
