//go:build !unix

package growth

import "time"

func computed() time.Duration { return time.Since(start) }
