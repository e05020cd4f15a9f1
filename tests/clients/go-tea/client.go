package main

import (
	"fmt"
	"os"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	openapiutil "github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"

	"sluice.test/clients/go/flows"
)

// An operation as the packages that are generated for one service know it.
type operation struct{ name, verb, path string }

var (
	insertK8sApplication        = operation{"InsertK8sApplication", "POST", "/pop/v5/k8s/acs/create_k8s_app"}
	deployK8sApplication        = operation{"DeployK8sApplication", "POST", "/pop/v5/k8s/acs/k8s_apps"}
	getChangeOrderInfo          = operation{"GetChangeOrderInfo", "POST", "/pop/v5/changeorder/change_order_info"}
	continuePipeline            = operation{"ContinuePipeline", "GET", "/pop/v5/changeorder/pipeline_batch_confirm"}
	abortAndRollbackChangeOrder = operation{"AbortAndRollbackChangeOrder", "PUT", "/pop/v5/changeorder/change_order_abort_and_rollback"}
	listHistoryDeployVersion    = operation{"ListHistoryDeployVersion", "GET", "/pop/v5/app/deploy_history_version_list"}
	rollbackApplication         = operation{"RollbackApplication", "POST", "/pop/v5/changeorder/co_rollback"}
	getApplication              = operation{"GetApplication", "POST", "/pop/v5/app/app_info"}
	listApplication             = operation{"ListApplication", "POST", "/pop/v5/app/app_list"}
	getK8sApplication           = operation{"GetK8sApplication", "GET", "/pop/v5/changeorder/co_application"}
	listRecentChangeOrder       = operation{"ListRecentChangeOrder", "POST", "/pop/v5/changeorder/change_order_list"}
	scaleK8sApplication         = operation{"ScaleK8sApplication", "PUT", "/pop/v5/k8s/acs/k8s_apps"}
	stopK8sApplication          = operation{"StopK8sApplication", "POST", "/pop/v5/k8s/acs/stop_k8s_app"}
	startK8sApplication         = operation{"StartK8sApplication", "POST", "/pop/v5/k8s/acs/start_k8s_app"}
	restartK8sApplication       = operation{"RestartK8sApplication", "POST", "/pop/v5/k8s/acs/restart_k8s_app"}
	deleteK8sApplication        = operation{"DeleteK8sApplication", "DELETE", "/pop/v5/k8s/acs/k8s_apps"}
)

type query map[string]any

func connect(secret string) (*openapi.Client, error) {
	return openapi.NewClient(&openapiutil.Config{
		AccessKeyId:     dara.String(os.Getenv("ACCESS_KEY_ID")),
		AccessKeySecret: dara.String(secret),
		Endpoint:        dara.String(os.Getenv("ENDPOINT")),
		Protocol:        dara.String("http"),
	})
}

// call is what a generated package does for one operation: the reply is converted
// into its type, whatever it says.
func call[T any](client *openapi.Client, called operation, given query) (*T, error) {
	params := &openapiutil.Params{
		Action:      dara.String(called.name),
		Version:     dara.String("2017-08-01"),
		Protocol:    dara.String("HTTPS"),
		Pathname:    dara.String(called.path),
		Method:      dara.String(called.verb),
		AuthType:    dara.String("AK"),
		Style:       dara.String("ROA"),
		ReqBodyType: dara.String("json"),
		BodyType:    dara.String("json"),
	}
	request := &openapiutil.OpenApiRequest{Query: openapiutil.Query(given)}
	reply, err := client.CallApi(params, request, &dara.RuntimeOptions{})
	if err != nil {
		return nil, err
	}
	whole := &struct {
		StatusCode *int32 `json:"statusCode"`
		Body       *T     `json:"body"`
	}{}
	if err := dara.Convert(reply, whole); err != nil {
		return nil, fmt.Errorf("%s: %w", called.name, err)
	}
	if whole.Body == nil {
		return nil, fmt.Errorf("%s: there is no body", called.name)
	}
	return whole.Body, flows.Expect("StatusCode of "+called.name, dara.Int32Value(whole.StatusCode), 200)
}

// A verdict is what every reply says of itself.
type verdict struct {
	Code      *int32  `json:"Code,omitempty"`
	Message   *string `json:"Message,omitempty"`
	RequestId *string `json:"RequestId,omitempty"`
}

// of is nil where the reply says success.
func (v verdict) of(called operation) error {
	if dara.StringValue(v.RequestId) == "" {
		return fmt.Errorf("%s has no RequestId", called.name)
	}
	return flows.Well(called.name, nil, int(dara.Int32Value(v.Code)), dara.StringValue(v.Message))
}

type judged interface{ of(operation) error }

// well is the reply of an operation that says success.
func well[T judged](s *shop, called operation, given query) (T, error) {
	reply, err := call[T](s.client, called, given)
	if err != nil {
		return *new(T), err
	}
	return *reply, (*reply).of(called)
}
