package main

import (
	"fmt"
	"strings"
)

// A division says which CPUs run what. With fewer than two, or on a system that
// keeps no process on a CPU, all share them.
type division struct{ proxy, others []int }

// divideCPUs divides those that this process may run on.
func divideCPUs() (division, error) {
	cpus, err := allowedCPUs()
	return divide(cpus), err
}

// divide gives the first CPU to the proxies and all others to the upstream and the
// load. A proxy has one so that its CPU per call does not depend on how many
// there are.
func divide(cpus []int) division {
	if len(cpus) < 2 {
		return division{cpus, cpus}
	}
	return division{cpus[:1], cpus[1:]}
}

// String says for the report how they are divided.
func (d division) String() string {
	if len(d.others) == 0 || len(d.proxy) == len(d.others) && d.proxy[0] == d.others[0] {
		return "the proxies SHARE their CPU with the upstream and the load, so these figures are not for publishing"
	}
	return fmt.Sprintf("each proxy alone on CPU %s, upstream and load on CPU %s", list(d.proxy), list(d.others))
}

func list(cpus []int) string { return strings.Trim(fmt.Sprint(cpus), "[]") }
