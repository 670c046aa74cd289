//go:build !unix

package redisserver

import (
	"context"
	"errors"
)

// ErrNotInstalled says that there is no redis-server on this system.
var ErrNotInstalled = errors.New("redis-server is not installed")

// Start returns ErrNotInstalled.
func Start(context.Context) (addr string, stop func(), err error) { return "", nil, ErrNotInstalled }
