package main

import (
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
)

// sampledEvery is after how many allocated bytes the profile of allocations takes a
// sample: more often than by default, to count a site's allocations per call, and
// seldom enough that taking samples is not what the CPU profile shows. (At 4 KiB it
// was a tenth of it.)
const sampledEvery = 64 << 10

// profile writes this process's CPU profile, and that of its allocations, to files
// whose names begin with path. They are complete when stop returns.
func profile(path string) (stop func() error, err error) {
	runtime.MemProfileRate = sampledEvery
	cpu, err := os.Create(path + ".cpu.pprof")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(err, cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		allocs, err := os.Create(path + ".allocs.pprof")
		if err != nil {
			return errors.Join(err, cpu.Close())
		}
		return errors.Join(pprof.Lookup("allocs").WriteTo(allocs, 0), allocs.Close(), cpu.Close())
	}, nil
}
