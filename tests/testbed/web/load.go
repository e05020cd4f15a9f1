package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// One request of a client that speaks HTTP with nothing in between: no request
// is ever sent again, so that whatever fails is seen to fail.
type client struct {
	address string
	work    time.Duration
	timeout time.Duration
}

// tally is what became of the requests of one kind.
type tally struct {
	lock sync.Mutex
	// Answers by version.
	Answers map[string]int `json:"answers"`
	// Failures by kind.
	Failures map[string]int `json:"failures"`
	// Connections that the server had closed before the next request, where the
	// client noticed in time: no failures.
	Closed int `json:"closed"`
	// The longest time until an answer.
	SlowestMs int64 `json:"slowest_ms"`
	// The first failures in full.
	Examples []string `json:"examples"`
}

// load sends requests at a rate, half of them on a new connection each and half
// on connections that are kept. It prints "answered" once both kinds work and
// begins to count there; when its standard input ends, or after the longest
// time, it stops and prints the counts as JSON.
func load(arguments []string) int {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	address := flags.String("address", "", "server, as HOST:PORT")
	rate := flags.Float64("rate", 50, "requests a second of each kind")
	workers := flags.Int("workers", 8, "requests of each kind at once, and connections that are kept")
	longest := flags.Duration("longest", 2*time.Minute, "time after which it stops by itself")
	first := flags.Duration("first", 30*time.Second, "time until the first answer")
	timeout := flags.Duration("timeout", 5*time.Second, "time that one request may take")
	work := flags.Duration("work", 5*time.Millisecond, "time that the server takes for one request")
	if flags.Parse(arguments) != nil || *address == "" || *rate <= 0 || *rate > 1000 || *workers < 1 || *workers > 100 {
		return 2
	}
	c := &client{*address, *work, *timeout}
	for giveUp := time.Now().Add(*first); ; time.Sleep(50 * time.Millisecond) {
		_, err := c.once()
		if err == nil {
			break
		}
		if time.Now().After(giveUp) {
			fmt.Fprintln(os.Stderr, "load: no answer:", err)
			return 1
		}
	}
	fmt.Println("answered")

	stop := make(chan struct{})
	go func() {
		over := time.AfterFunc(*longest, func() { close(stop) })
		io.Copy(io.Discard, os.Stdin)
		if over.Stop() {
			close(stop)
		}
	}()
	counts := map[string]*tally{"new": newTally(), "kept": newTally()}
	began := time.Now()
	var running sync.WaitGroup
	for range *workers {
		pause := time.Duration(float64(*workers) / *rate * float64(time.Second))
		for kind, tally := range counts {
			running.Go(func() { c.send(kind == "kept", pause, tally, began, stop) })
		}
	}
	running.Wait()
	json.NewEncoder(os.Stdout).Encode(struct {
		Seconds float64 `json:"seconds"`
		New     *tally  `json:"new"`
		Kept    *tally  `json:"kept"`
	}{time.Since(began).Seconds(), counts["new"], counts["kept"]})
	return 0
}

func newTally() *tally {
	return &tally{Answers: map[string]int{}, Failures: map[string]int{}, Examples: []string{}}
}

// send makes requests one after the other, evenly spaced, until told to stop.
func (c *client) send(kept bool, pause time.Duration, counts *tally, began time.Time, stop <-chan struct{}) {
	var open *connection
	defer func() { open.close() }()
	offset := time.NewTimer(rand.N(pause))
	select {
	case <-stop:
		return
	case <-offset.C:
	}
	next := time.NewTicker(pause)
	defer next.Stop()
	for {
		if open != nil && open.isClosed() {
			open.close()
			open = nil
			counts.closed()
		}
		var version string
		var err error
		at := time.Now()
		if open == nil {
			open, err = c.connect()
		}
		if err == nil {
			version, err = open.ask(c, kept)
		}
		counts.note(version, err, at, began)
		if err != nil || !kept || open.last {
			open.close()
			open = nil
		}
		select {
		case <-stop:
			return
		case <-next.C:
		}
	}
}

func (c *client) once() (string, error) {
	open, err := c.connect()
	if err != nil {
		return "", err
	}
	defer open.close()
	return open.ask(c, false)
}

type connection struct {
	net.Conn
	reader *bufio.Reader
	last   bool // the server wants to close it
}

func (c *client) connect() (*connection, error) {
	opened, err := net.DialTimeout("tcp", c.address, c.timeout)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: opened, reader: bufio.NewReader(opened)}, nil
}

func (open *connection) close() {
	if open != nil {
		open.Conn.Close()
	}
}

// isClosed says whether the server has closed the connection, as any client
// looks before it uses one again.
func (open *connection) isClosed() bool {
	open.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := open.reader.Peek(1)
	return !isTimeout(err)
}

func (open *connection) ask(c *client, keep bool) (string, error) {
	header := "Connection: close\r\n"
	if keep {
		header = ""
	}
	open.SetDeadline(time.Now().Add(c.timeout))
	if _, err := fmt.Fprintf(open, "GET /?work=%s HTTP/1.1\r\nHost: web\r\n%s\r\n", c.work, header); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(open.reader, nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", status(response.StatusCode)
	}
	open.last = response.Close
	return strings.TrimSpace(string(body)), nil
}

type status int

func (code status) Error() string { return fmt.Sprintf("status %d", int(code)) }

func (counts *tally) closed() {
	counts.lock.Lock()
	defer counts.lock.Unlock()
	counts.Closed++
}

func (counts *tally) note(version string, err error, at, began time.Time) {
	counts.lock.Lock()
	defer counts.lock.Unlock()
	if err == nil {
		counts.Answers[version]++
		counts.SlowestMs = max(counts.SlowestMs, time.Since(at).Milliseconds())
		return
	}
	counts.Failures[kindOf(err)]++
	if len(counts.Examples) < 3 {
		counts.Examples = append(counts.Examples, fmt.Sprintf("after %.2f s: %v", at.Sub(began).Seconds(), err))
	}
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.As(err, &timed) && timed.Timeout()
}

func kindOf(err error) string {
	var code status
	switch {
	case errors.As(err, &code):
		return code.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	case isTimeout(err):
		return "timed out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed before the answer"
	}
	return "other"
}
