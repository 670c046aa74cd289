package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// allowedCPUs are the CPUs that this thread may run on, ascending.
func allowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

func cpuSet(cpus []int) *unix.CPUSet {
	set := new(unix.CPUSet)
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	return set
}

// confine keeps all threads of this process on the CPUs, and those that it will
// start: a thread inherits its creator's. release lets them run where they could
// before.
func confine(cpus []int) (release func(), err error) {
	before, err := allowedCPUs()
	if err != nil {
		return nil, err
	}
	if err := setThreads(cpus); err != nil {
		return nil, err
	}
	return func() { _ = setThreads(before) }, nil // where it could run before, it still can
}

// setThreads sets the CPUs of every thread. A thread that is not set yet may start
// another meanwhile, so it goes on until a pass finds nothing left to set.
func setThreads(cpus []int) error {
	want := cpuSet(cpus)
	for again := true; again; {
		again = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				return err
			}
			var set unix.CPUSet
			if err := unix.SchedGetaffinity(id, &set); errors.Is(err, unix.ESRCH) || err == nil && set == *want {
				continue // it has ended, or is set
			}
			if err := unix.SchedSetaffinity(id, want); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("CPUs %v: %w", cpus, err)
			}
			again = true
		}
	}
	return nil
}

// startOn calls start, which starts a process, so that the process runs on the
// CPUs from its first instruction: it inherits them from the thread that forks.
func startOn(cpus []int, start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := allowedCPUs()
	if err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, cpuSet(cpus)); err != nil {
		return fmt.Errorf("CPUs %v: %w", cpus, err)
	}
	return errors.Join(start(), unix.SchedSetaffinity(0, cpuSet(before)))
}

// sleepUntil is exact to some ten microseconds. time.Sleep is late by up to a
// millisecond when nothing else runs, since the runtime then waits for its timers
// in epoll_wait, which counts milliseconds; that would be more than a call takes.
// The timer slack, by which Linux delays a thread's wakeups to join them, is 50
// microseconds unless set.
func sleepUntil(t time.Time) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // of whichever thread this is; refused, it is only later
	for d := time.Until(t); d > 0; d = time.Until(t) {
		left := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&left, nil) // interrupted, it goes on
	}
}

// residentBytes is how much of this process is in memory.
func residentBytes() (uint64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/self/statm: %q", statm)
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	return pages * uint64(os.Getpagesize()), err
}
