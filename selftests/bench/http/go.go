// SPDX-License-Identifier: GPL-2.0

// The server of "hello" on net/http.

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	w.Header()["Date"] = nil // the others send none
	io.WriteString(w, "Hello, world\n")
}

func main() {
	argProcs()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	need(err == nil, "a listener")
	go http.Serve(listener, http.HandlerFunc(hello))
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	io.Copy(io.Discard, os.Stdin)
}
