/* tests/proto_test.c: what every message type must be, read from the descriptors that protoc-c made. */
#include <stdbool.h>
#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include "proto/tidemark/v1/agent.pb-c.h"
#include "proto/tidemark/v1/console.pb-c.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "tests/support/test.h"

enum { TYPES_MAX = 200 };

static const ProtobufCServiceDescriptor *const services[] = {
    &tidemark__v1__agent__descriptor,
    &tidemark__v1__console__descriptor,
    &tidemark__v1__data__descriptor,
};

struct types {
    const ProtobufCMessageDescriptor *list[TYPES_MAX];
    size_t count;
};

static bool add(struct types *types, const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < types->count; i++) {
        if (types->list[i] == type)
            return false;
    }
    assert_true(types->count < TYPES_MAX);
    types->list[types->count++] = type;
    return true;
}

static const ProtobufCMessageDescriptor *type_of(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

/* All that a field of a type in it, or of such a field's type, and so on, can hold. */
static void add_below(struct types *types, size_t from)
{
    for (size_t i = from; i < types->count; i++) {
        for (unsigned k = 0; k < types->list[i]->n_fields; k++) {
            const ProtobufCMessageDescriptor *type = type_of(&types->list[i]->fields[k]);

            if (type != NULL)
                (void)add(types, type); /* it may be there */
        }
    }
}

static struct types all_types(void)
{
    struct types types = {0};

    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        for (unsigned k = 0; k < services[i]->n_methods; k++) {
            (void)add(&types, services[i]->methods[k].input); /* several methods may have it */
            (void)add(&types, services[i]->methods[k].output);
        }
    }
    add_below(&types, 0);
    return types;
}

static bool contains_itself(const ProtobufCMessageDescriptor *type)
{
    struct types below = {0};

    for (unsigned k = 0; k < type->n_fields; k++) {
        if (type_of(&type->fields[k]) != NULL)
            (void)add(&below, type_of(&type->fields[k]));
    }
    add_below(&below, 0);
    return !add(&below, type);
}

static void no_message_contains_itself(void **state)
{
    struct types types = all_types();

    (void)state;
    assert_true(types.count > 30);
    for (size_t i = 0; i < types.count; i++) {
        if (contains_itself(types.list[i]))
            fail_msg("%s contains itself", types.list[i]->name);
    }
}

static void a_type_that_contains_itself_by_another_is_found(void **state)
{
    ProtobufCMessageDescriptor types[2] = {{.name = "a"}, {.name = "b"}};
    ProtobufCFieldDescriptor fields[2] = {
        {.name = "b", .type = PROTOBUF_C_TYPE_MESSAGE, .descriptor = &types[1]},
        {.name = "a", .type = PROTOBUF_C_TYPE_MESSAGE, .descriptor = &types[0]}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        types[i].n_fields = 1;
        types[i].fields = &fields[i];
    }
    assert_true(contains_itself(&types[0]));
    fields[1].type = PROTOBUF_C_TYPE_BYTES;
    assert_false(contains_itself(&types[0]));
}

static void no_field_is_required_or_a_list_of_bytes(void **state)
{
    struct types types = all_types();

    (void)state;
    for (size_t i = 0; i < types.count; i++) {
        for (unsigned k = 0; k < types.list[i]->n_fields; k++) {
            const ProtobufCFieldDescriptor *field = &types.list[i]->fields[k];

            if (field->label == PROTOBUF_C_LABEL_REQUIRED)
                fail_msg("%s.%s is required", types.list[i]->name, field->name);
            if (field->label == PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_BYTES)
                fail_msg("%s.%s is a list of bytes", types.list[i]->name, field->name);
        }
    }
}

/* What is present is told from what is not by a oneof or by being a message: proto3's optional would have a
 * has_ member of its own. */
static void no_field_is_optional_by_itself(void **state)
{
    struct types types = all_types();

    (void)state;
    for (size_t i = 0; i < types.count; i++) {
        for (unsigned k = 0; k < types.list[i]->n_fields; k++) {
            const ProtobufCFieldDescriptor *field = &types.list[i]->fields[k];

            if (field->label == PROTOBUF_C_LABEL_OPTIONAL && type_of(field) == NULL)
                fail_msg("%s.%s is optional", types.list[i]->name, field->name);
        }
    }
}

static void every_type_is_of_our_package(void **state)
{
    struct types types = all_types();

    (void)state;
    for (size_t i = 0; i < types.count; i++)
        assert_string_equal(types.list[i]->package_name, "tidemark.v1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_message_contains_itself),
        cmocka_unit_test(a_type_that_contains_itself_by_another_is_found),
        cmocka_unit_test(no_field_is_required_or_a_list_of_bytes),
        cmocka_unit_test(no_field_is_optional_by_itself),
        cmocka_unit_test(every_type_is_of_our_package),
    };

    return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}
