// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * net_addr.c: from "tcp" and "host:port" to socket addresses.
 *
 * getaddrinfo(3) blocks its thread for as long as name servers take: with the module
 * the P serves others meanwhile, with the portable backend it waits, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

static const struct network networks[] = {
	{ "tcp", AF_UNSPEC, SOCK_STREAM },
	{ "tcp4", AF_INET, SOCK_STREAM },
	{ "tcp6", AF_INET6, SOCK_STREAM },
	{ "udp", AF_UNSPEC, SOCK_DGRAM },
	{ "udp4", AF_INET, SOCK_DGRAM },
	{ "udp6", AF_INET6, SOCK_DGRAM },
	{ "unix", AF_UNIX, SOCK_STREAM },
	{ "unixgram", AF_UNIX, SOCK_DGRAM },
	{ "unixpacket", AF_UNIX, SOCK_SEQPACKET },
};

/** net_find - Return: the network called @name, or NULL. */
const struct network *net_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(networks) / sizeof(networks[0]); i++)
		if (!strcmp(networks[i].name, name))
			return &networks[i];
	return NULL;
}

/* A path, or a name in the abstract namespace: that has no end but its length. */
static int resolve_unix(struct net_addrs *a, int type, const char *name)
{
	bool abstract = name[0] == '@';
	size_t len = strlen(name);

	if (len < 1 + (size_t)abstract)
		return -EINVAL;
	if (len >= sizeof(a->path.sun_path))
		return -ENAMETOOLONG;
	a->path.sun_family = AF_UNIX;
	memcpy(a->path.sun_path, name, len + 1);
	if (abstract)
		a->path.sun_path[0] = '\0';
	a->one = (struct addrinfo){
		.ai_family = AF_UNIX, .ai_socktype = type,
		.ai_addr = (struct sockaddr *)&a->path,
		.ai_addrlen = offsetof(struct sockaddr_un, sun_path) + len + !abstract,
	};
	a->list = &a->one;
	return 0;
}

/*
 * "host:port", "[v6]:port", ":port". A host that has colons needs the brackets.
 * Return: 0, @host (perhaps "") and @port filled in, or -EINVAL.
 */
static int split(const char *address, char host[NI_MAXHOST], const char **port)
{
	const char *from = address, *to = strrchr(address, ':');

	if (!to || !to[1])
		return -EINVAL;
	*port = to + 1;
	if (*from == '[') {
		from++;
		to--;
		if (to <= from || *to != ']')
			return -EINVAL;
	} else if (memchr(from, ':', to - from)) {
		return -EINVAL;
	}
	if (to - from >= NI_MAXHOST)
		return -EINVAL;
	memcpy(host, from, to - from);
	host[to - from] = '\0';
	return 0;
}

/* getaddrinfo(3) takes numbers that are too large for others. */
static bool port_too_large(const char *port)
{
	return !port[strspn(port, "0123456789")] && (strlen(port) > 5 || atoi(port) > 65535);
}

static __attribute__((noinline)) int sys_getaddrinfo(const char *host, const char *port,
						     const struct addrinfo *hints,
						     struct addrinfo **list)
{
	int ret = getaddrinfo(host, port, hints, list);

	switch (ret) {
	case 0:
		return 0;
	case EAI_SYSTEM:
		return errno ? -errno : -EIO;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_FAIL:
		return -EIO;
	default:
		return -ENOENT;
	}
}

static int resolve_inet(struct net_addrs *a, int family, int type, const char *address,
			bool passive)
{
	struct addrinfo hints = {
		.ai_family = family, .ai_socktype = type, .ai_flags = passive ? AI_PASSIVE : 0,
	};
	char host[NI_MAXHOST];
	const char *port;
	int ret = split(address, host, &port);

	if (ret || port_too_large(port))
		return -EINVAL;
	return sys_getaddrinfo(*host ? host : NULL, port, &hints, &a->list);
}

/**
 * net_resolve - what an address stands for
 * @a:       the result, for net_release
 * @net:     the network
 * @family:  which of its families
 * @address: as gs_listen's
 * @passive: no host means all addresses; else this machine
 *
 * Return: 0, -EINVAL, -ENOENT: no such name, or another -errno.
 */
int net_resolve(struct net_addrs *a, const struct network *net, int family,
		const char *address, bool passive)
{
	if (family == AF_UNIX)
		return resolve_unix(a, net->type, address);
	return resolve_inet(a, family, net->type, address, passive);
}

/** net_release - free what net_resolve made. */
void net_release(struct net_addrs *a)
{
	if (a->list != &a->one)
		freeaddrinfo(a->list);
}
