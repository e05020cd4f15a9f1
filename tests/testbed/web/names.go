package main

import (
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// names answers questions about names at this address, by UDP: that of
// 10-96-0-7.sluice.test is 10.96.0.7, and so on; no other is known.
func names(address string) error {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	packet := make([]byte, 512)
	for {
		size, from, err := socket.ReadFrom(packet)
		if err != nil {
			return err
		}
		if reply, err := resolve(packet[:size]); err == nil {
			socket.WriteTo(reply, from)
		}
	}
}

func resolve(query []byte) ([]byte, error) {
	var message dnsmessage.Message
	if err := message.Unpack(query); err != nil {
		return nil, err
	}
	message.Response, message.RecursionAvailable, message.Additionals = true, true, nil
	for _, question := range message.Questions {
		label, _ := strings.CutSuffix(question.Name.String(), ".sluice.test.")
		address, err := netip.ParseAddr(strings.ReplaceAll(label, "-", "."))
		if err != nil || !address.Is4() {
			message.RCode = dnsmessage.RCodeNameError
		} else if question.Type == dnsmessage.TypeA {
			message.Answers = append(message.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: address.As4()},
			})
		}
	}
	return message.Pack()
}
