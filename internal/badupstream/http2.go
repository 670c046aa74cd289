package badupstream

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Frame types and flags of RFC 9113, section 6.
const (
	frameData, frameHeaders, frameReset, frameSettings = 0x0, 0x1, 0x3, 0x4
	framePing, frameGoAway                             = 0x6, 0x7

	flagAck, flagEndStream, flagEndHeaders = 0x1, 0x1, 0x4
)

// Error codes of RFC 9113, section 7.
var codes = []string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
	"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// RefusedStream is the error code that says that nothing was done.
const RefusedStream = 7

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func (s *Server) serveHTTP2(c *Conn) error {
	start := make([]byte, len(preface))
	if _, err := io.ReadFull(c.reader, start); err != nil || string(start) != preface {
		return errNotHTTP2
	}
	c.frame(frameSettings, 0, 0, nil)
	if s.Connected != nil && s.requests.Load() >= s.Good {
		s.Connected(c, 0)
	}
	good := make(map[uint32]bool)
	for {
		var head [9]byte
		if _, err := io.ReadFull(c.reader, head[:]); err != nil {
			return err
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(c.reader, payload); err != nil {
			return err
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			c.frame(frameSettings, flagAck, 0, nil)
		case kind == framePing && flags&flagAck == 0:
			c.frame(framePing, flagAck, 0, payload)
		case kind == framePing && s.Pong != nil:
			s.Pong(c, 0)
		case kind == frameHeaders:
			if good[stream] = s.requests.Add(1) <= s.Good; !good[stream] && s.Head != nil {
				s.Head(c, stream)
			}
		}
		if kind != frameHeaders && kind != frameData || flags&flagEndStream == 0 {
			continue
		}
		if good[stream] {
			c.Answer(stream, true)
		} else if s.End != nil {
			s.End(c, stream)
		}
	}
}

// frame writes one.
func (c *Conn) frame(kind, flags byte, stream uint32, payload []byte) {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	c.Say(string(append(binary.BigEndian.AppendUint32(b, stream), payload...)))
}

// Answer writes a head with status 200, and whether that is all.
func (c *Conn) Answer(stream uint32, ends bool) {
	flags := byte(flagEndHeaders)
	if ends {
		flags |= flagEndStream
	}
	c.frame(frameHeaders, flags, stream, []byte{0x88}) // index 8 of HPACK's table: ":status: 200"
}

// Ping asks for a Pong, which comes when all that was said before has been read.
func (c *Conn) Ping() { c.frame(framePing, 0, 0, make([]byte, 8)) }

// GoAway says that no stream after last was looked at.
func (c *Conn) GoAway(last, code uint32) {
	c.frame(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), code))
}

// ResetStream ends one stream.
func (c *Conn) ResetStream(stream, code uint32) {
	c.frame(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code))
}

// HTTP2Faults are ways in which a request by HTTP/2 ends badly, each when its
// HEADERS have come and when it has come whole.
func HTTP2Faults() map[string]*Server {
	ends := map[string]func(*Conn, uint32){
		"connection closed": func(c *Conn, _ uint32) { c.Hangup() },
		"connection reset":  func(c *Conn, _ uint32) { c.Reset() },
		"closed after the answer's head": func(c *Conn, stream uint32) {
			c.Answer(stream, false)
			c.Hangup()
		},
		"GOAWAY after the answer's head": func(c *Conn, stream uint32) {
			c.Answer(stream, false)
			c.GoAway(0, 0)
		},
		"GOAWAY which quotes net/http, includes it, and closed": func(c *Conn, stream uint32) {
			c.frame(frameGoAway, 0, 0, append(binary.BigEndian.AppendUint64(nil, uint64(stream)<<32), "net/http: cannot rewind body after connection loss"...))
			c.Hangup()
		},
		"what is not HTTP/2": func(c *Conn, _ uint32) { c.Say("HTTP/1.1 400 Bad Request\r\n\r\n") },
	}
	for code, name := range codes {
		code := uint32(code)
		ends["GOAWAY "+name] = func(c *Conn, _ uint32) { c.GoAway(0, code) }
		ends["GOAWAY and closed "+name] = func(c *Conn, _ uint32) {
			c.GoAway(0, code)
			c.Hangup()
		}
		ends["GOAWAY twice "+name] = func(c *Conn, _ uint32) {
			c.GoAway(1<<31-1, 0) // a shutdown that begins gently (RFC 9113, section 6.8)
			c.GoAway(0, code)
		}
		ends["GOAWAY which includes it, and closed "+name] = func(c *Conn, stream uint32) {
			c.GoAway(stream, code)
			c.Hangup()
		}
		ends["RST_STREAM "+name] = func(c *Conn, stream uint32) { c.ResetStream(stream, code) }
		ends["RST_STREAM after the answer's head "+name] = func(c *Conn, stream uint32) {
			c.Answer(stream, false)
			c.ResetStream(stream, code)
		}
	}
	faults := make(map[string]*Server)
	for name, end := range ends {
		faults[fmt.Sprintf("%s, at HEADERS", name)] = &Server{Head: end}
		faults[fmt.Sprintf("%s, at the end", name)] = &Server{End: end}
	}
	return faults
}
