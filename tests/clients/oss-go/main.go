// OSS' client for Go uploads packages in parts, and goes on after a break.
//
// What the client says is asserted, and that the package is in the store. A line of
// JSON on standard output tells which client this is, and one for each flow how it
// went; a flow that failed is the last.
//
// Settings: STORE (an address), BUCKET, PREFIX, STORE_KEY_ID, STORE_KEY_SECRET and
// STORE_TOKEN, as ../python/credential.py prints them, and PACKAGES (the folder in
// which the server keeps uploaded packages). The argument is a folder to work in.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

const (
	module   = "github.com/aliyun/aliyun-oss-go-sdk"
	partSize = 100 << 10
)

// link counts the parts that are sent, and breaks when so many were.
type link struct {
	sent, most atomic.Int64
}

func (link *link) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPut && request.URL.Query().Has("partNumber") {
		if most := link.most.Load(); most > 0 && link.sent.Load() >= most {
			return nil, errors.New("the link is broken")
		}
		link.sent.Add(1)
	}
	return http.DefaultTransport.RoundTrip(request)
}

type store struct {
	folder string
	link   *link
	bucket *oss.Bucket
}

func open(folder string) (*store, error) {
	link := &link{}
	client, err := oss.New(os.Getenv("STORE"), os.Getenv("STORE_KEY_ID"), os.Getenv("STORE_KEY_SECRET"),
		oss.SecurityToken(os.Getenv("STORE_TOKEN")), oss.HTTPClient(&http.Client{Transport: link}))
	if err != nil {
		return nil, err
	}
	bucket, err := client.Bucket(os.Getenv("BUCKET"))
	return &store{folder, link, bucket}, err
}

func (store *store) file(name string, parts int) (file, key string, content []byte, err error) {
	content = make([]byte, parts*partSize+7)
	rand.Read(content)
	file = filepath.Join(store.folder, name)
	return file, os.Getenv("PREFIX") + "/apps/shop 1/" + name, content, os.WriteFile(file, content, 0o600)
}

// isKept says whether all of a package is in the store.
func isKept(content []byte) error {
	files, err := os.ReadDir(os.Getenv("PACKAGES"))
	for _, file := range files {
		kept, _ := os.ReadFile(filepath.Join(os.Getenv("PACKAGES"), file.Name()))
		if bytes.Equal(kept, content) {
			return nil
		}
	}
	return fmt.Errorf("none of %d files is the package: %v", len(files), err)
}

func (store *store) inParts() error {
	file, key, content, err := store.file("whole.jar", 4)
	if err == nil {
		err = store.bucket.UploadFile(key, file, partSize, oss.Routines(3))
	}
	if err != nil {
		return err
	}
	if sent := store.link.sent.Load(); sent != 5 {
		return fmt.Errorf("%d parts were sent", sent)
	}
	return isKept(content)
}

func (store *store) afterABreak() error {
	file, key, content, err := store.file("broken.jar", 4)
	if err != nil {
		return err
	}
	checkpoint := oss.Checkpoint(true, file+".checkpoint")
	store.link.sent.Store(0)
	store.link.most.Store(3)
	if err := store.bucket.UploadFile(key, file, partSize, oss.Routines(1), checkpoint); err == nil {
		return errors.New("it did not break")
	}
	store.link.most.Store(0)
	listed, err := store.bucket.ListMultipartUploads(oss.Prefix(os.Getenv("PREFIX")))
	if err != nil || len(listed.Uploads) != 1 || listed.Uploads[0].Key != key {
		return fmt.Errorf("%+v is under way: %w", listed, err)
	}
	upload := oss.InitiateMultipartUploadResult{Bucket: os.Getenv("BUCKET"), Key: key, UploadID: listed.Uploads[0].UploadID}
	parts, err := store.bucket.ListUploadedParts(upload)
	if err != nil || len(parts.UploadedParts) != 3 {
		return fmt.Errorf("%+v is there: %w", parts, err)
	}
	if err := store.bucket.UploadFile(key, file, partSize, oss.Routines(1), checkpoint); err != nil {
		return err
	}
	if sent := store.link.sent.Load(); sent != 5 {
		return fmt.Errorf("%d parts were sent, of five", sent)
	}
	return isKept(content)
}

func (store *store) givenUp() error {
	key := os.Getenv("PREFIX") + "/gone.jar"
	upload, err := store.bucket.InitiateMultipartUpload(key)
	if err != nil {
		return err
	}
	if err := store.bucket.AbortMultipartUpload(upload); err != nil {
		return err
	}
	_, err = store.bucket.UploadPart(upload, strings.NewReader("a"), 1, 1)
	var said oss.ServiceError
	if !errors.As(err, &said) || said.Code != "NoSuchUpload" {
		return fmt.Errorf("a part of it: %w", err)
	}
	return nil
}

func tell(line map[string]any) {
	text, _ := json.Marshal(line)
	fmt.Println(string(text))
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, one := range info.Deps {
		if one.Path == module {
			return one.Version
		}
	}
	return ""
}

func main() {
	tell(map[string]any{"client": strings.TrimPrefix(module, "github.com/aliyun/"), "version": version()})
	store, err := open(os.Args[1])
	flows := []struct {
		name string
		run  func() error
	}{{"package in parts", store.inParts}, {"package in parts, after a break", store.afterABreak}, {"package in parts, given up", store.givenUp}}
	for _, flow := range flows {
		if err == nil {
			err = flow.run()
		}
		if err != nil {
			tell(map[string]any{"flow": flow.name, "passed": false, "why": err.Error()})
			os.Exit(1)
		}
		tell(map[string]any{"flow": flow.name, "passed": true})
	}
}
