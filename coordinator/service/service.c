#include "coordinator/service/service.h"

#include <stddef.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "base/pool.h"
#include "proto/tidemark/v1/agent.pb-c.h"
#include "proto/tidemark/v1/console.pb-c.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "coordinator/service/backup.h"
#include "coordinator/service/commit.h"
#include "coordinator/service/context.h"
#include "coordinator/service/export.h"
#include "coordinator/service/hosts.h"
#include "coordinator/service/list.h"
#include "coordinator/service/points.h"
#include "coordinator/service/repository_check.h"
#include "coordinator/service/repository_rebuild.h"
#include "coordinator/service/repository_status.h"
#include "coordinator/service/session.h"
#include "coordinator/service/tasks.h"
#include "coordinator/service/track.h"
#include "coordinator/service/upload.h"
#include "coordinator/service/verify.h"

enum { AGENT_CALLS_MAX = 256, CONSOLE_CALLS_MAX = 64 };

static const size_t agents_memory = 256UL * 1024 * 1024;
static const size_t consoles_memory = 64UL * 1024 * 1024;

struct service {
    struct service_options options;
    struct service_context context;
    struct exchange *calls;
    struct rpc_server *agents, *consoles;
    struct loop_task agents_closed, consoles_closed;
    unsigned open; /* listeners that are not yet closed */
    struct loop_task *on_closed;
};

enum status service_new(const struct service_options *options, struct service **ret_service,
                        struct error *err)
{
    struct service *service = memory_new(1, sizeof(*service));
    struct service_context *context = NULL;
    enum status st = STATUS_OK;

    if (service == NULL)
        return error_set_no_memory(err, sizeof(*service), "the service");
    service->options = *options;
    context = &service->context;
    context->calls = &service->calls;
    context->loop = options->loop;
    context->store = options->store;
    context->random = options->random;
    context->clock = options->clock;
    context->log = options->log;
    context->agents_ca = options->agents->ca_pem;
    st = pool_new(options->loop, 1, &context->store_thread, err);
    if (st == STATUS_OK)
        st = pool_new(options->loop, options->workers, &context->workers, err);
    if (st == STATUS_OK)
        st = hosts_new(&context->hosts, err);
    if (st == STATUS_OK)
        st = tasks_new(&context->tasks, err);
    if (st == STATUS_OK)
        st = points_new(&context->points, err);
    if (st == STATUS_OK) {
        *ret_service = service;
        service = NULL;
    }
    service_free(service);
    return st;
}

/* ---- Listening ------------------------------------------------------------------------------- */

static enum status listen_to_agents(struct service *service, struct error *err)
{
    const struct rpc_service services[] = {
        {{&tidemark__v1__agent__descriptor, "Session"}, session_accept, &service->context},
        {{&tidemark__v1__data__descriptor, "Upload"}, upload_accept, &service->context},
        {{&tidemark__v1__data__descriptor, "Commit"}, commit_accept, &service->context},
        {{&tidemark__v1__data__descriptor, "Track"}, track_accept, &service->context},
    };
    struct rpc_server_options options = {
        .address = service->options.agents_address,
        .credentials = service->options.agents,
        .services = services,
        .service_count = sizeof(services) / sizeof(services[0]),
        .message_max = RPC_DATA_MESSAGE_MAX,
        .memory_max = agents_memory,
        .calls_max = AGENT_CALLS_MAX,
    };

    return rpc_server_new(service->options.rpc, &options, &service->agents, err);
}

static enum status listen_to_consoles(struct service *service, struct error *err)
{
    const struct rpc_service services[] = {
        {{&tidemark__v1__console__descriptor, "ListPoints"}, list_accept, &service->context},
        {{&tidemark__v1__console__descriptor, "Backup"}, backup_accept, &service->context},
        {{&tidemark__v1__console__descriptor, "Verify"}, verify_accept, &service->context},
        {{&tidemark__v1__console__descriptor, "Export"}, export_accept, &service->context},
        {{&tidemark__v1__console__descriptor, "RepositoryStatus"},
         repository_status_accept,
         &service->context},
        {{&tidemark__v1__console__descriptor, "RepositoryRebuild"},
         repository_rebuild_accept,
         &service->context},
        {{&tidemark__v1__console__descriptor, "RepositoryCheck"},
         repository_check_accept,
         &service->context},
    };
    struct rpc_server_options options = {
        .address = service->options.consoles_address,
        .credentials = service->options.consoles,
        .services = services,
        .service_count = sizeof(services) / sizeof(services[0]),
        .message_max = RPC_DATA_MESSAGE_MAX, /* what an export sends */
        .memory_max = consoles_memory,
        .calls_max = CONSOLE_CALLS_MAX,
    };

    return rpc_server_new(service->options.rpc, &options, &service->consoles, err);
}

enum status service_listen(struct service *service, struct error *err)
{
    enum status st = listen_to_agents(service, err);

    if (st == STATUS_OK)
        st = listen_to_consoles(service, err);
    return st;
}

unsigned service_agents_port(const struct service *service)
{
    return rpc_server_port(service->agents);
}

unsigned service_consoles_port(const struct service *service)
{
    return rpc_server_port(service->consoles);
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void listener_closed(struct service *service)
{
    INVARIANT(service->open > 0);
    if (--service->open == 0)
        loop_post(service->options.loop, service->on_closed);
}

static void agents_closed(struct loop_task *task)
{
    struct service *service =
        (struct service *)((char *)task - offsetof(struct service, agents_closed));

    service->agents = NULL;
    listener_closed(service);
}

static void consoles_closed(struct loop_task *task)
{
    struct service *service =
        (struct service *)((char *)task - offsetof(struct service, consoles_closed));

    service->consoles = NULL;
    listener_closed(service);
}

void service_close(struct service *service, struct loop_task *on_closed)
{
    service->on_closed = on_closed;
    service->agents_closed.run = agents_closed;
    service->consoles_closed.run = consoles_closed;
    service->open = 1; /* this call: so that the last one posts, also if there is none */
    if (service->agents != NULL) {
        service->open++;
        rpc_server_close(service->agents, &service->agents_closed);
    }
    if (service->consoles != NULL) {
        service->open++;
        rpc_server_close(service->consoles, &service->consoles_closed);
    }
    listener_closed(service);
}

void service_free(struct service *service)
{
    if (service == NULL)
        return;
    INVARIANT(service->agents == NULL && service->consoles == NULL);
    points_free(service->context.points);
    tasks_free(service->context.tasks);
    hosts_free(service->context.hosts);
    pool_free(service->context.workers);
    pool_free(service->context.store_thread);
    memory_free(service);
}
