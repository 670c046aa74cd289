package alipayai

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// A body whose length is announced is read in one go, its end included, up to what is believed.
func TestAnnouncedBodyHasRoomAtOnce(t *testing.T) {
	for announced, want := range map[int64]int{
		40_000: 40_000,
		// Allocations of this size are exact: there is no room but what was asked for.
		40_960: 40_960 + bytes.MinRead, maxKept: maxKept, 10 * maxKept: maxKept,
	} {
		body := &widest{Reader: bytes.NewReader(make([]byte, min(announced, 1000)))}
		for buffers.Get().(*bytes.Buffer).Cap() > 0 { // others have left some that had room
		}
		c := &call{g: &Gateway{MaxAnswer: 1 << 30}}
		if _, err := c.readAll(&upstream.Exchange{Response: &http.Response{ContentLength: announced, Body: body}}); err != nil {
			t.Fatal(err)
		}
		if body.most < want || body.most > want+4*bytes.MinRead+want/4 {
			t.Errorf("%d bytes announced: the first read had room for %d", announced, body.most)
		}
	}
}

// widest notes the most that was read into at once.
type widest struct {
	io.Reader
	most int
}

func (w *widest) Read(b []byte) (int, error) {
	w.most = max(w.most, len(b))
	return w.Reader.Read(b)
}

func (*widest) Close() error { return nil }
