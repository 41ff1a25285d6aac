/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * net.h: networks and addresses by name, for gs_listen and gs_dial.
 */
#ifndef GS_NET_H
#define GS_NET_H

#include <netdb.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* struct network - "tcp" and the like; AF_UNSPEC: IPv6 and IPv4 */
struct network {
	const char *name;
	int family;
	int type;
};

/* struct net_addrs - what an address stands for; @list is getaddrinfo's, or @one */
struct net_addrs {
	struct addrinfo *list;
	struct addrinfo one;
	struct sockaddr_un path;
};

const struct network *net_find(const char *name);
int net_resolve(struct net_addrs *a, const struct network *net, int family,
		const char *address, bool passive);
void net_release(struct net_addrs *a);

#endif /* GS_NET_H */
