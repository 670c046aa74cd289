package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be its own children, as the command is.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(runChild(role))
	}
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	// The guard is for all that shares a test machine's cores. How much of the cap is used depends on that machine, and is for the
	// command to judge.
	seen, err := run(t.Context(), settings{duration: 4 * time.Second, gateways: 2, callers: 15, guard: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	report, _ := seen.judge()
	if a := seen.arrivals; a.Most > perSecond || a.Mean < 10 || a.Mean > perSecond/1.5+0.1 || seen.served[0]+seen.served[1] != int64(a.Count) {
		t.Errorf("%d answers\n%s", seen.served, report)
	}
}

func TestCheck(t *testing.T) {
	good := settings{duration: 30 * time.Second, gateways: 3, callers: 20}
	if err := good.check(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for name, change := range map[string]func(*settings){
		"too short":      func(s *settings) { s.duration = time.Second },
		"no gateway":     func(s *settings) { s.gateways = 0 },
		"no caller":      func(s *settings) { s.callers = 0 },
		"negative guard": func(s *settings) { s.guard = -1 },
	} {
		s := good
		change(&s)
		if _, err := run(t.Context(), s); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestJudge(t *testing.T) {
	good := observed{arrivals{Count: 1500, Most: 50, Tightest: 1001 * time.Millisecond, Mean: 49.5}, [2]int64{740, 760}}
	tests := map[string]struct {
		change func(*observed)
		want   string // the line that fails
	}{
		"all holds":           {func(*observed) {}, ""},
		"one too many":        {func(o *observed) { o.arrivals.Most = 51 }, "most arrivals"},
		"nothing arrives":     {func(o *observed) { o.arrivals.Most = 0 }, "most arrivals"},
		"too few":             {func(o *observed) { o.arrivals.Mean = 48.9 }, "arrivals a second"},
		"one tenant starves":  {func(o *observed) { o.served = [2]int64{600, 900} }, "answers by tenant"},
		"the other does":      {func(o *observed) { o.served = [2]int64{900, 600} }, "answers by tenant"},
		"no call is answered": {func(o *observed) { o.served = [2]int64{} }, "answers by tenant"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := good
			tt.change(&o)
			report, ok := o.judge()
			if ok != (tt.want == "") || strings.Count(report, "FAIL") > 1 || !ok && !strings.Contains(report, "FAIL "+tt.want) {
				t.Errorf("ok %v, want %q to fail:\n%s", ok, tt.want, report)
			}
		})
	}
}

func TestSpacing(t *testing.T) {
	begin := time.Unix(0, 0)
	every := func(d time.Duration, n int) (at []time.Time) {
		for i := range n {
			at = append(at, begin.Add(time.Duration(i)*d))
		}
		return at
	}
	bursts := func(windows int) (at []time.Time) {
		for w := range windows {
			for i := range perSecond {
				at = append(at, begin.Add(time.Duration(w)*1010*time.Millisecond+time.Duration(i)*time.Millisecond))
			}
		}
		return at
	}
	tests := map[string]struct {
		at       []time.Time
		most     int
		tightest time.Duration
		mean     float64
	}{
		"none":          {nil, 0, 0, 0},
		"one window":    {every(time.Millisecond, perSecond), perSecond, 0, 0},
		"evenly":        {every(20*time.Millisecond, 201), perSecond, time.Second, 50},
		"in bursts":     {bursts(4), perSecond, 1010 * time.Millisecond, 50 / 1.01},
		"one more each": {every(10*time.Millisecond, perSecond+1), perSecond + 1, 500 * time.Millisecond, 100},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if most := most(tt.at); most != tt.most {
				t.Errorf("%d in a second, want %d", most, tt.most)
			}
			tightest, mean := spacing(tt.at)
			if tightest != tt.tightest || mean < tt.mean-0.001 || mean > tt.mean+0.001 {
				t.Errorf("%v and %v, want %v and %v", tightest, mean, tt.tightest, tt.mean)
			}
		})
	}
}
