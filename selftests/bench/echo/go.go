// SPDX-License-Identifier: GPL-2.0

// The echo server with a goroutine for each connection.

package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

const bufferBytes = 4096

func serve(conn net.Conn) {
	buf := make([]byte, bufferBytes)
	for {
		n, err := conn.Read(buf)
		if err == nil {
			_, err = conn.Write(buf[:n])
		}
		if err != nil {
			conn.Close()
			return
		}
	}
}

func acceptAll(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		need(err == nil, "a connection")
		go serve(conn)
	}
}

func main() {
	argProcs()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	need(err == nil, "a listener")
	go acceptAll(listener)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	io.Copy(io.Discard, os.Stdin)
}
