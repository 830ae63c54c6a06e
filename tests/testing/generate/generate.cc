#include "tests/testing/generate/generate.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "tests/testing/generate/names.h"
#include "vault/base/logging.h"

namespace vault::testing {
namespace {

// Ages are counted to this day, so that a file stays the same whenever it is made.
constexpr int kNewestBirthYear = 2024;
constexpr uint64_t kTenDigits = 10'000'000'000;

constexpr absl::string_view kHealthNotes[] = {
    "平熱36.5度",
    "卵アレルギーあり",
    "車椅子を利用",
    "微熱37.2度、咳なし。明日再確認",
    "手話通訳を希望",
    "服薬中(降圧剤)",
    "既往歴:気管支喘息。吸入薬あり",
    "経過良好\n観察終了の予定",
};
constexpr absl::string_view kMemos[] = {
    "折り返し希望(午後)",
    "家族が代理で来庁予定",
    "接種券の再発行を案内",
    "留守電に伝言、折り返し待ち",
    "「午前中」に連絡, 駄目なら夕方",
    "書類は郵送済み",
    "予約変更:2回目を翌週へ",
    "耳が遠いため、ゆっくり話す\n筆談も可",
};
constexpr absl::string_view kBuildings[] = {"架空荘",     "コーポ見本",     "メゾン例題",
                                            "ハイツ試作", "サンプルビュー", "レジデンス仮名"};

// Odd, and prime to 3 and 5: what makes Spread one-to-one.
constexpr uint64_t kSteps[] = {6180339887, 3141592657, 2718281827,
                               1414213567, 1732050809, 2236067977};

std::string Padded(uint64_t number, int width) {
  std::string digits(width, '0');
  for (int i = width - 1; i >= 0; --i, number /= 10)
    digits[i] = static_cast<char>('0' + number % 10);
  return digits;
}

std::string FullWidth(absl::string_view ascii, absl::string_view dash) {
  std::string out;
  for (char c : ascii) {
    if (c == '-') {
      absl::StrAppend(&out, dash);
    } else {
      absl::StrAppend(&out, "\xEF\xBC", std::string(1, static_cast<char>(0x90 + (c - '0'))));
    }
  }
  return out;
}

template <size_t N>
constexpr size_t SizeOf(const NameParts (&)[N]) {
  return N;
}

}  // namespace

struct ResidentGenerator::Household {
  uint64_t index;
  const NameParts* surname;
  Town town;
  std::string address;
  std::string fixed_phone;   // may be empty
  std::string shared_phone;  // what members without a telephone of their own give
};

const std::vector<std::string>& GeneratedColumns() {
  static const std::vector<std::string>* const columns =
      new std::vector<std::string>{"name",           "kana",
                                   "birth_date",     "sex",
                                   "phone",          "email",
                                   "postal_code",    "address",
                                   "address_number", "household_number",
                                   "ticket_number",  "health_note",
                                   "memo",           "protection"};
  return *columns;
}

const std::string& GeneratedResident::Get(absl::string_view id) const {
  for (const auto& [name, value] : fields) {
    if (name == id) return value;
  }
  VAULT_LOG(FATAL) << "no such column";
  return fields[0].second;
}

ResidentGenerator::ResidentGenerator(const TenantId& tenant, uint64_t seed)
    : tenant_(tenant), state_(seed) {
  for (char c : tenant.str()) state_ = (state_ + static_cast<uint64_t>(c)) * 0x9E3779B97F4A7C15u;
  for (uint64_t& offset : offsets_) offset = Below(kTenDigits);
  if (tenant.str() == "131164") {
    for (const auto& [name, code] : std::vector<std::pair<absl::string_view, absl::string_view>>{
             {"池袋", "171-0014"},   {"東池袋", "170-0013"}, {"西池袋", "171-0021"},
             {"南池袋", "171-0022"}, {"上池袋", "170-0012"}, {"池袋本町", "170-0011"},
             {"巣鴨", "170-0002"},   {"西巣鴨", "170-0001"}, {"駒込", "170-0003"},
             {"北大塚", "170-0004"}, {"南大塚", "170-0005"}, {"雑司が谷", "171-0032"},
             {"高田", "171-0033"},   {"目白", "171-0031"},   {"長崎", "171-0051"},
             {"南長崎", "171-0052"}, {"千早", "171-0044"},   {"要町", "171-0043"},
             {"高松", "171-0042"},   {"千川", "171-0041"}}) {
      towns_.push_back({"東京都豊島区", name, code});
    }
  } else if (tenant.str() == "141003") {
    towns_ = {{"神奈川県横浜市鶴見区", "鶴見中央", "230-0051"},
              {"神奈川県横浜市神奈川区", "鶴屋町", "221-0835"},
              {"神奈川県横浜市西区", "みなとみらい", "220-0012"},
              {"神奈川県横浜市中区", "本町", "231-0005"},
              {"神奈川県横浜市南区", "大岡", "232-0061"},
              {"神奈川県横浜市港南区", "上大岡西", "233-0002"},
              {"神奈川県横浜市保土ケ谷区", "川辺町", "240-0001"},
              {"神奈川県横浜市旭区", "二俣川", "241-0821"},
              {"神奈川県横浜市磯子区", "森", "235-0023"},
              {"神奈川県横浜市金沢区", "釜利谷東", "236-0042"},
              {"神奈川県横浜市港北区", "新横浜", "222-0033"},
              {"神奈川県横浜市緑区", "十日市場町", "226-0025"},
              {"神奈川県横浜市青葉区", "美しが丘", "225-0002"},
              {"神奈川県横浜市都筑区", "茅ケ崎中央", "224-0032"},
              {"神奈川県横浜市戸塚区", "戸塚町", "244-0003"},
              {"神奈川県横浜市栄区", "桂町", "247-0005"},
              {"神奈川県横浜市泉区", "和泉中央南", "245-0016"},
              {"神奈川県横浜市瀬谷区", "瀬谷", "246-0031"}};
  } else {
    towns_ = {{"見本県架空市", "本町", "999-0001"},
              {"見本県架空市", "栄町", "999-0002"},
              {"見本県架空市", "緑が丘", "999-0003"},
              {"見本県架空市", "大字見本", "999-0004"},
              {"見本県架空市", "駅前", "999-0005"}};
  }
}

// SplitMix64: a few instructions, and the same on every machine, which the standard's distributions
// are not.
uint64_t ResidentGenerator::Random() {
  state_ += 0x9E3779B97F4A7C15u;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

uint64_t ResidentGenerator::Below(uint64_t n) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(Random()) * n) >> 64);
}

GeneratedResident ResidentGenerator::Next() {
  if (ready_.empty()) MakeHousehold();
  GeneratedResident next = std::move(ready_.front());
  ready_.pop_front();
  return next;
}

void ResidentGenerator::MakeHousehold() {
  // Shares in 100 households; the last is five and more.
  constexpr int kShares[] = {40, 28, 16, 14, 2};
  int size = 1;
  for (int draw = static_cast<int>(Below(100)); draw >= kShares[size - 1]; ++size) {
    draw -= kShares[size - 1];
  }
  if (size == 5) size += static_cast<int>(Below(3));

  Household household;
  household.index = households_++;
  household.surname = &kSurnames[Below(SizeOf(kSurnames))];
  household.town = towns_[Below(towns_.size())];
  household.address = MakeAddress(household.town);
  const std::string fixed = FixedPhone(household.index);
  if (Below(10) < 6) household.fixed_phone = fixed;
  household.shared_phone =
      household.fixed_phone.empty() ? MobilePhone(residents_) : household.fixed_phone;

  const int head_year = kNewestBirthYear - 20 - static_cast<int>(Below(70));
  for (int place = 0; place < size; ++place) {
    int year = head_year;
    if (place == 1) year = std::min(year + static_cast<int>(Below(9)) - 4, kNewestBirthYear - 18);
    if (place >= 2) year += 20 + static_cast<int>(Below(18));
    year = std::min(year, kNewestBirthYear);
    const int month = 1 + static_cast<int>(Below(11));
    // A day that the month lacks becomes one of the next.
    const absl::CivilDay birth(year, month, 1 + static_cast<int>(Below(31)));
    const bool female = place == 1 ? true : OneIn(2);
    ready_.push_back(MakeMember(household, place, birth, female));
    ++residents_;
  }
}

GeneratedResident ResidentGenerator::MakeMember(const Household& household, int place,
                                                absl::CivilDay birth, bool female) {
  const NameParts& given =
      female ? kGivenFemale[Below(SizeOf(kGivenFemale))] : kGivenMale[Below(SizeOf(kGivenMale))];
  const int age = kNewestBirthYear - static_cast<int>(birth.year());
  const bool own_mobile = age >= 16 && age < 80 && Below(10) < 6;
  std::string phone;
  if (own_mobile || (place == 0 && household.fixed_phone.empty())) {
    phone = Rewrite(MobilePhone(residents_));
  } else if (!OneIn(30)) {
    phone = Rewrite(household.shared_phone);
  }
  std::string sex = female ? "female" : "male";
  if (OneIn(5)) sex = female ? "女" : "男";
  if (OneIn(200)) sex = OneIn(2) ? "unknown" : "不明";
  std::string email;
  if (age >= 12 && Below(10) < 4) {
    email = absl::StrCat("r", Padded(Spread(kEmail, residents_, kTenDigits), 10),
                         OneIn(4) ? "@example.com" : "@example.jp");
  }
  const std::string number = Padded(Spread(kAddressNumber, residents_, kTenDigits), 10);
  const std::string home = Padded(Spread(kHouseholdNumber, household.index, kTenDigits), 10);
  const std::string ticket = Ticket(residents_);
  const absl::string_view health_note =
      OneIn(8) ? kHealthNotes[Below(std::size(kHealthNotes))] : "";
  const absl::string_view memo = OneIn(5) ? kMemos[Below(std::size(kMemos))] : "";
  std::string values[] = {absl::StrCat(household.surname->written, "　", given.written),
                          absl::StrCat(household.surname->kana, "　", given.kana),
                          absl::FormatCivilTime(birth),
                          sex,
                          phone,
                          email,
                          std::string(household.town.postal_code),
                          household.address,
                          number,
                          home,
                          ticket,
                          std::string(health_note),
                          std::string(memo),
                          Protection()};
  GeneratedResident resident;
  const std::vector<std::string>& columns = GeneratedColumns();
  VAULT_CHECK(std::size(values) == columns.size()) << "a value a column";
  resident.fields.reserve(columns.size());
  for (size_t i = 0; i < columns.size(); ++i)
    resident.fields.emplace_back(columns[i], std::move(values[i]));
  return resident;
}

std::string ResidentGenerator::MakeAddress(const Town& town) {
  const std::string chome = absl::StrCat(1 + Below(5));
  const std::string block = absl::StrCat(1 + Below(60));
  const std::string house = absl::StrCat(1 + Below(30));
  static constexpr absl::string_view kKanji[] = {"一", "二", "三", "四", "五"};
  std::string address = absl::StrCat(town.municipality, town.name);
  switch (Below(4)) {
    case 0:
      absl::StrAppend(&address, chome, "-", block, "-", house);
      break;
    case 1:
      absl::StrAppend(&address, chome, "丁目", block, "番", house, "号");
      break;
    case 2:
      absl::StrAppend(&address, FullWidth(absl::StrCat(chome, "-", block, "-", house), "－"));
      break;
    default:
      absl::StrAppend(&address, kKanji[chome[0] - '1'], "丁目", block, "番", house, "号");
  }
  if (OneIn(2)) {
    // Drawn one by one: the order in which a call's arguments are drawn is the compiler's.
    const absl::string_view building = kBuildings[Below(std::size(kBuildings))];
    const uint64_t floor = 1 + Below(9);
    const uint64_t room = 1 + Below(9);
    absl::StrAppend(&address, " ", building, floor * 100 + room, OneIn(2) ? "号室" : "");
  }
  return address;
}

uint64_t ResidentGenerator::Spread(Series series, uint64_t index, uint64_t modulus) const {
  const unsigned __int128 far = static_cast<unsigned __int128>(kSteps[series]) * index;
  return static_cast<uint64_t>((far + offsets_[series]) % modulus);
}

std::string ResidentGenerator::FixedPhone(uint64_t index) const {
  // No subscriber's number begins with 0 or 1 behind the area code.
  if (tenant_.str() == "141003") {
    const uint64_t n = Spread(kFixedPhone, index, 2'000'000);
    return absl::StrCat("045-", Padded(n / 10000, 3), "-", Padded(n, 4));
  }
  const uint64_t n = Spread(kFixedPhone, index, 10'000'000);
  return absl::StrCat("03-1", Padded(n / 10000, 3), "-", Padded(n, 4));
}

std::string ResidentGenerator::MobilePhone(uint64_t index) const {
  static constexpr absl::string_view kPrefixes[] = {"090", "080", "070", "060"};
  const uint64_t n = Spread(kMobilePhone, index, 90'000'000) + 10'000'000;
  return absl::StrCat(kPrefixes[index % 4], "-", Padded(n / 10000, 4), "-", Padded(n, 4));
}

std::string ResidentGenerator::Rewrite(absl::string_view phone) {
  const size_t first = phone.find('-');
  const absl::string_view area = phone.substr(0, first), rest = phone.substr(first + 1);
  switch (Below(10)) {
    case 0: {
      std::string digits(phone);
      digits.erase(std::remove(digits.begin(), digits.end(), '-'), digits.end());
      return digits;
    }
    case 1:
      return FullWidth(phone, "－");
    case 2:
      return FullWidth(phone, "ー");
    case 3:
      return absl::StrCat("+81-", phone.substr(1));
    case 4: {
      const size_t second = rest.find('-');
      return absl::StrCat(area, "(", rest.substr(0, second), ")", rest.substr(second + 1));
    }
    case 5: {
      std::string spaced(phone);
      std::replace(spaced.begin(), spaced.end(), '-', ' ');
      return spaced;
    }
    default:
      return std::string(phone);
  }
}

std::string ResidentGenerator::Ticket(uint64_t index) {
  const std::string number = Padded(Spread(kTicket, index, kTenDigits), 10);
  const uint64_t draw = Below(10);
  if (draw == 0) return "";
  if (draw > 3) return number;
  return absl::StrCat("2", 1 + Below(7), tenant_.str(), number);
}

std::string ResidentGenerator::Protection() {
  const uint64_t draw = Below(1000);
  if (draw < 5) return OneIn(2) ? "dv_support" : "dv_support 2026-04-01/2027-03-31";
  if (draw < 7) return "supervisor_only";
  return "";
}

}  // namespace vault::testing
