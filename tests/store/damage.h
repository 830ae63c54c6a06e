// Damage done to the files of a small database, one piece at a time, and what came of opening it.
#ifndef VAULT_TESTS_STORE_DAMAGE_H_
#define VAULT_TESTS_STORE_DAMAGE_H_

namespace vault::store {

constexpr char kDamageChildFlag[] = "--damage-child";

// argv: program, kDamageChildFlag, and either "build" DIR, or "try" DIR PLAN FIRST
// (damage_test.cc).
int DamageChildMain(int argc, char** argv);

}  // namespace vault::store

#endif  // VAULT_TESTS_STORE_DAMAGE_H_
