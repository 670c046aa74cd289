package main

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// threads gives the CPUs of each thread of this process.
func threads(t *testing.T) (all []unix.CPUSet) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		var set unix.CPUSet
		if unix.SchedGetaffinity(id, &set) == nil {
			all = append(all, set)
		}
	}
	return all
}

func TestConfine(t *testing.T) {
	before, err := allowedCPUs()
	if err != nil || len(before) == 0 {
		t.Fatalf("CPUs %v, error %v", before, err)
	}
	last := before[len(before)-1:]
	release, err := confine(last)
	if err != nil {
		t.Fatal(err)
	}
	// Threads that are started now are confined as well.
	stay := make(chan struct{})
	var started, ended sync.WaitGroup
	for range 8 {
		started.Add(1)
		ended.Go(func() {
			runtime.LockOSThread()
			started.Done()
			<-stay
		})
	}
	started.Wait()
	for _, set := range threads(t) {
		if set != *cpuSet(last) {
			t.Errorf("a thread runs on %d CPUs", set.Count())
		}
	}
	release()
	for _, set := range threads(t) {
		if set != *cpuSet(before) {
			t.Errorf("a thread was not released: %d CPUs", set.Count())
		}
	}
	close(stay)
	ended.Wait()
	if after, err := allowedCPUs(); err != nil || !slices.Equal(after, before) {
		t.Errorf("CPUs %v, error %v; want %v", after, err, before)
	}
}

func TestSleepUntil(t *testing.T) {
	for name, d := range map[string]time.Duration{"past": -time.Hour, "now": 0, "soon": 2 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			until := time.Now().Add(d)
			sleepUntil(until)
			if early := time.Until(until); early > 0 {
				t.Errorf("%v too early", early)
			}
		})
	}
}

func TestResidentBytes(t *testing.T) {
	before, err := residentBytes()
	if err != nil {
		t.Fatal(err)
	}
	page, err := unix.Mmap(-1, 0, 32<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	after, err := residentBytes()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Munmap(page); err != nil {
		t.Fatal(err)
	}
	if grown := int64(after) - int64(before); grown < 24<<20 {
		t.Errorf("32 MiB more are %d bytes", grown)
	}
}
