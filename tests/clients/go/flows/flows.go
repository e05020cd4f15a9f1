// Package flows is what the Go clients' programs share: what is released, how an
// order is followed, and how a flow is told of.
//
// It knows no client: each program goes by its own client's replies.
package flows

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"
)

// What is released.
const (
	Replicas = 4
	ScaledTo = 6
	EnvName  = "GREETING"
	EnvValue = "b c/ü+~*&="
	InThree  = `{"type":"BatchUpdate","batchUpdate":{"batch":3,"releaseType":"manual"}}`
	OneFirst = `{"type":"GrayBatchUpdate","grayUpdate":{"gray":1},"batchUpdate":{"batch":2,"releaseType":"auto","batchWaitTime":0}}`
	NoOrder  = "00000000-0000-7000-8000-000000000000"
)

// What EDAS' numbers mean.
const (
	Success              = 2
	Failed               = 3
	Aborted              = 6
	WaitsForConfirmation = 8
	SystemFailed         = 10
)

var final = []int{Success, Failed, Aborted, SystemFailed}

const (
	orderDeadline = 90 * time.Second
	pollInterval  = 200 * time.Millisecond
)

func Image(version string) string { return "shop/web:" + version }

// Envs is the parameter that gives the environment variable.
func Envs() string { return fmt.Sprintf(`[{"name":%q,"value":%q}]`, EnvName, EnvValue) }

// A Flow is one thing that the client's users do.
type Flow struct {
	Name string
	Run  func() error
}

// GoThrough runs the flows one after the other and ends the program, with 0 only
// if all went well; a flow that failed is the last.
func GoThrough(client, module string, flows ...Flow) {
	tell(map[string]any{"client": client, "version": linked(module)})
	for _, flow := range flows {
		if err := flow.Run(); err != nil {
			tell(map[string]any{"flow": flow.Name, "passed": false, "why": err.Error()})
			os.Exit(1)
		}
		tell(map[string]any{"flow": flow.Name, "passed": true})
	}
	os.Exit(0)
}

func tell(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

// linked is the version that was linked in, not the one that was asked for.
func linked(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	panic(module + " is not linked in")
}

// Follow polls an order until done says so. Fails at the deadline, and on an end
// that is not the one.
func Follow[T any](order string, look func(order string) (T, error), status func(T) int, done func(T) bool) (T, error) {
	if order == "" {
		var none T
		return none, errors.New("there is no ChangeOrderId")
	}
	for deadline := time.Now().Add(orderDeadline); ; time.Sleep(pollInterval) {
		info, err := look(order)
		if err != nil || done(info) {
			return info, err
		}
		if slices.Contains(final, status(info)) {
			return info, fmt.Errorf("order %s ended %d", order, status(info))
		}
		if time.Now().After(deadline) {
			return info, fmt.Errorf("order %s is still %d after %v", order, status(info), orderDeadline)
		}
	}
}

// Well is nil for an answer that says success.
func Well(operation string, err error, code int, message string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if code != 200 || message != "success" {
		return fmt.Errorf("%s answered %d %q", operation, code, message)
	}
	return nil
}

func Expect(what string, got, wanted any) error {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		return fmt.Errorf("%s is %v, not %v", what, got, wanted)
	}
	return nil
}
