package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// opening is how many slow streams wait for their first event at once. If all came
// at the same moment, some would fail where the machine is busy: Caddy gives up a
// connection that takes three seconds.
const opening = 50

// measureMemory holds a workload's streams open, and says what each takes of the
// proxy.
func measureMemory(ctx context.Context, proxy *child, w workload, d time.Duration) (sample, error) {
	before, err := proxy.usage(collected)
	if err != nil {
		return sample{}, err
	}
	streams, err := connect(ctx, proxy.Addr, w)
	if err != nil {
		return sample{}, err
	}
	defer streams.close()
	begun, ended := make(chan struct{}, len(streams)), make(chan error, len(streams))
	await := func() error {
		select {
		case <-begun:
			return nil
		case err := <-ended:
			return fmt.Errorf("a stream ended before all had begun: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i, c := range streams {
		if i >= opening {
			if err := await(); err != nil {
				return sample{}, err
			}
		}
		if err := c.send(); err != nil {
			return sample{}, err
		}
		go func() { ended <- c.follow(begun) }() // at the latest when its connection is closed
	}
	for range min(opening, len(streams)) {
		if err := await(); err != nil {
			return sample{}, err
		}
	}
	// Each stream is to have brought an event more.
	select {
	case <-time.After(d + slowEvery):
	case <-ctx.Done():
		return sample{}, ctx.Err()
	}
	// What is resident is read before the collection, as an operator would see it.
	held, err := proxy.usage(asItIs)
	if err != nil {
		return sample{}, err
	}
	live, err := proxy.usage(collected)
	if err != nil {
		return sample{}, err
	}
	select {
	case err := <-ended:
		return sample{}, fmt.Errorf("a stream ended before memory was read: %w", err)
	default:
	}
	n := float64(len(streams))
	return sample{
		residentPerStream: (float64(held.Resident) - float64(before.Resident)) / n,
		livePerStream:     (float64(live.Live) - float64(before.Live)) / n,
	}, nil
}

// follow reads a stream to its end, and says why it ended. It sends on begun when
// the stream has brought its first event.
func (c *client) follow(begun chan<- struct{}) error {
	line, err := c.line()
	if err == nil && !bytes.HasPrefix(line, statusOK) {
		return fmt.Errorf("answered %q", line)
	}
	for first := true; err == nil; {
		if line, err = c.line(); bytes.HasPrefix(line, []byte("data: ")) {
			if first {
				first = false
				begun <- struct{}{}
			}
			if bytes.HasPrefix(streamEnd, line) {
				return errors.New("it was complete")
			}
		}
	}
	return err
}
