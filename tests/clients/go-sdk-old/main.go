// The old Go SDK releases an application the ways its users do.
//
// Each flow takes the SDK's own typed replies and goes by what they say. A line
// of JSON on standard output tells which client this is, and one for each flow
// how it went.
//
// Settings: ENDPOINT (host:port), ACCESS_KEY_ID, ACCESS_KEY_SECRET, APP_NAME,
// NAMESPACE.
package main

import (
	"fmt"
	"os"

	"sluice.test/clients/go/flows"
)

func main() {
	shop, err := openShop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	flows.GoThrough("alibaba-cloud-sdk-go", "github.com/aliyun/alibaba-cloud-sdk-go",
		flows.Flow{Name: "insert", Run: shop.insert},
		flows.Flow{Name: "all at once", Run: shop.allAtOnce},
		flows.Flow{Name: "phased, confirmed", Run: shop.phased},
		flows.Flow{Name: "canary", Run: shop.canary},
		flows.Flow{Name: "abort and roll back", Run: shop.abortAndRollBack},
		flows.Flow{Name: "roll back to a version", Run: shop.rollBackToVersion},
		flows.Flow{Name: "read", Run: shop.read},
		flows.Flow{Name: "refusals", Run: shop.refusals},
		flows.Flow{Name: "operate and delete", Run: shop.operateAndDelete},
	)
}
