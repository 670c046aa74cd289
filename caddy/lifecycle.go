package alipaycaddy

import "slices"

// acquired is what a configuration, or a handler, has acquired of the pooled state and of what else must be given back. It is
// given back in one way: once, when nothing is left that uses it, and the other way round, since what was acquired later may
// use what was acquired before.
type acquired struct{ releases []func() }

// add takes what gives back something that has just been acquired.
func (a *acquired) add(release func()) { a.releases = append(a.releases, release) }

// release gives all of it back. A second time there is nothing left.
func (a *acquired) release() {
	releases := a.releases
	a.releases = nil
	for _, release := range slices.Backward(releases) {
		release()
	}
}

// releaseAfter gives all of it back as soon as none of its users is in flight. They are waited for in their order: what is in
// flight in one may come to the next.
func (a *acquired) releaseAfter(users ...*inFlight) {
	then := a.release
	for _, user := range slices.Backward(users) {
		ended := then
		then = func() { user.whenEnded(ended) }
	}
	then()
}

// lifecycle is what the parts of a configuration have it do later, as each says when it is provisioned.
type lifecycle struct {
	acquired

	// checks say, at Start, whether what is configured can be used.
	checks []func() error
	// opens connect to what the configuration uses, at Start.
	opens []func()
	// jobs are its background work, from Start to Stop.
	jobs jobs
}

// check gives the first error of the checks.
func (l *lifecycle) check() error {
	for _, check := range l.checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// start opens what is used, and begins the background work.
func (l *lifecycle) start() {
	for _, open := range l.opens {
		open()
	}
	l.jobs.start()
}

// releaseAtEnd gives back what the configuration holds when its background work has ended, and its calls.
func (l *lifecycle) releaseAtEnd(calls *inFlight) { l.releaseAfter(&l.jobs.running, calls) }
