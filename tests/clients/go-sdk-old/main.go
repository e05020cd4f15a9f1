// The old Go SDK releases an application the ways its users do.
//
// Each flow takes the SDK's own typed replies and goes by what they say. A line
// of JSON on standard output tells which client this is, and one for each flow
// how it went. Ends with 0 only if all went well; a flow that failed is the last.
//
// Settings: ENDPOINT (host:port), ACCESS_KEY_ID, ACCESS_KEY_SECRET, APP_NAME,
// NAMESPACE.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
)

const sdkModule = "github.com/aliyun/alibaba-cloud-sdk-go"

type flow struct {
	name string
	run  func(*shop) error
}

var flows = []flow{
	{"insert", (*shop).insert},
	{"all at once", (*shop).allAtOnce},
	{"phased, confirmed", (*shop).phased},
	{"canary", (*shop).canary},
	{"abort and roll back", (*shop).abortAndRollBack},
	{"roll back to a version", (*shop).rollBackToVersion},
	{"read", (*shop).read},
	{"refusals", (*shop).refusals},
	{"operate and delete", (*shop).operateAndDelete},
}

func main() {
	tell(map[string]any{"client": "alibaba-cloud-sdk-go", "version": sdkVersion()})
	shop, err := openShop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, flow := range flows {
		if err := flow.run(shop); err != nil {
			tell(map[string]any{"flow": flow.name, "passed": false, "why": err.Error()})
			os.Exit(1)
		}
		tell(map[string]any{"flow": flow.name, "passed": true})
	}
}

func tell(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

// sdkVersion is the version that was linked in, not the one that was asked for.
func sdkVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == sdkModule {
			return module.Version
		}
	}
	panic(sdkModule + " is not linked in")
}
