package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// eventsSeen is how many events each slow stream has brought when memory is read.
// The gateway holds a stream back until its first content, so the first event
// alone would not show what a stream under way takes.
const eventsSeen = 2

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
	for _, c := range streams {
		if err := c.send(); err != nil {
			return sample{}, err
		}
		go func() { ended <- c.follow(begun) }() // at the latest when its connection is closed
	}
	for range streams {
		select {
		case <-begun:
		case err := <-ended:
			return sample{}, fmt.Errorf("a stream ended before all had begun: %w", err)
		case <-ctx.Done():
			return sample{}, ctx.Err()
		}
	}
	select {
	case <-time.After(d):
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

// follow reads a stream to its end, and says why it ended. It sends on begun once
// the stream has brought eventsSeen events.
func (c *client) follow(begun chan<- struct{}) error {
	line, err := c.line()
	if err == nil && !bytes.HasPrefix(line, statusOK) {
		return fmt.Errorf("answered %q", line)
	}
	for events := 0; err == nil; {
		if line, err = c.line(); bytes.HasPrefix(line, []byte("data: ")) {
			if events++; events == eventsSeen {
				begun <- struct{}{}
			}
			if bytes.HasPrefix(streamEnd, line) {
				return errors.New("it was complete")
			}
		}
	}
	return err
}
