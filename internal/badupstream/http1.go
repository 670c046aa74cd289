package badupstream

import (
	"io"
	"net/http"
)

func (s *Server) serveHTTP1(c *Conn) {
	for {
		req, err := http.ReadRequest(c.reader)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if s.requests.Add(1) <= s.Good {
			c.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		if s.HTTP1 != nil {
			s.HTTP1(c)
		}
		return
	}
}

// HTTP1Faults are ways in which a request by HTTP/1.1 ends badly.
func HTTP1Faults() map[string]*Server {
	say := func(text string, end func(*Conn)) func(*Conn) {
		return func(c *Conn) {
			c.Say(text)
			end(c)
		}
	}
	faults := make(map[string]*Server)
	for how, end := range map[string]func(*Conn){"closed": (*Conn).Hangup, "reset": (*Conn).Reset} {
		for at, text := range map[string]string{
			"without an answer":         "",
			"in the status line":        "HTTP/1.1 2",
			"after a 100":               "HTTP/1.1 100 Continue\r\n\r\n",
			"in the header":             "HTTP/1.1 200 OK\r\nContent-",
			"in the body":               "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
			"after a 408":               "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
			"after a 503, which closes": "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
			"after what is not HTTP":    "no answer at all\r\n\r\n",
		} {
			faults[how+" "+at] = &Server{HTTP1: say(text, end)}
		}
	}
	return faults
}
