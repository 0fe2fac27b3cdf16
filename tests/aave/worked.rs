//! Worked examples: every input and every integer that the contract answered.

use super::world::{NOW, asset, attempt, big, hold, list, market, offered, terms};
use alloy::primitives::{Address, U256};
use backstop::domain::prices::Moment;
use backstop::domain::protocol::{Protocol, Revert};
use backstop::domain::protocols::aave_v3::Market;
use backstop::domain::protocols::aave_v3::math::{Compound, compound_interest, linear_interest};

const BORROWER: Address = Address::repeat_byte(0xB0);
const RAY: &str = "1000000000000000000000000000";
const DOLLAR: &str = "100000000";
const R3_0: u64 = 1;
const R3_6: u64 = 10;

/// Growth of one ray over `elapsed` at `rate`: simple, and by both approximations of compound interest.
fn interest(rate: &str, elapsed: u64, simple: &str, binomial: &str, exponential: &str) {
    let rate = big(rate);
    assert_eq!(linear_interest(rate, elapsed), Ok(big(simple)), "simple over {elapsed}");
    assert_eq!(
        compound_interest(rate, elapsed, Compound::Binomial),
        Ok(big(binomial)),
        "binomial over {elapsed}"
    );
    assert_eq!(
        compound_interest(rate, elapsed, Compound::Exponential),
        Ok(big(exponential)),
        "exponential over {elapsed}"
    );
}

#[test]
fn a_year_at_five_percent() {
    let simple = "1050000000000000000000000000";
    interest(
        "50000000000000000000000000",
        31_536_000,
        simple,
        "1051265681539063650421944000",
        "1051270833333333333333333333",
    );
}

#[test]
fn a_block_at_five_percent() {
    let simple = "1000000019025875190258751902";
    interest(
        "50000000000000000000000000",
        12,
        simple,
        "1000000019025875356168052316",
        "1000000019025875371250716427",
    );
}

#[test]
fn a_second_at_five_percent() {
    let simple = "1000000001585489599188229325";
    interest("50000000000000000000000000", 1, simple, simple, "1000000001585489600445117960");
}

#[test]
fn a_month_at_a_crooked_rate() {
    let simple = "1001014713334348046675900558";
    interest(
        "12345678901234567890123456",
        2_592_000,
        simple,
        "1001015228155721981994044558",
        "1001015228330055604348307114",
    );
}

#[test]
fn a_year_at_a_hundred_percent() {
    let simple = "2000000000000000000000000000";
    interest(RAY, 31_536_000, simple, "2666663803286306996604104000", "2666666666666666666666666666");
}

#[test]
fn no_time_is_no_interest() {
    interest(RAY, 0, RAY, RAY, RAY);
}

/// An account with WETH collateral (bonus 5 %, fee 10 % of it) and USDX debt.
struct Case {
    revision: u64,
    weth: &'static str,
    /// Supply index of WETH, debt index of USDX.
    indices: (&'static str, &'static str),
    /// Scaled WETH supply, scaled USDX debt.
    scaled: (&'static str, &'static str),
    /// Debt in WBTC, in its own units and at an index of one.
    bitcoin: u64,
}

impl Case {
    fn market(&self) -> (Market, (Address, Address)) {
        let mut market = market(self.revision);
        let (income, debt_index) = (big(self.indices.0), big(self.indices.1));
        let usdx = asset(0, terms(6, 7_800, 10_450, 1_000), big(RAY), debt_index);
        let wbtc = asset(1, terms(8, 7_500, 11_000, 1_000), big(RAY), big(RAY));
        let weth = asset(2, terms(18, 8_600, 10_500, 1_000), income, big(RAY));
        let usdx = list(&mut market, usdx, big(DOLLAR));
        let wbtc = list(&mut market, wbtc, big("2700000000000"));
        let weth = list(&mut market, weth, big(self.weth));
        hold(&mut market, BORROWER, usdx, U256::ZERO, big(self.scaled.1));
        hold(&mut market, BORROWER, weth, big(self.scaled.0), U256::ZERO);
        if self.bitcoin > 0 {
            hold(&mut market, BORROWER, wbtc, U256::ZERO, U256::from(self.bitcoin));
        }
        (market, (weth, usdx))
    }

    /// Collateral, debt and health factor are these; `None` is not looked at.
    fn health(&self, collateral: Option<&str>, debt: Option<&str>, factor: Option<&str>) {
        let (market, _) = self.market();
        let health = market.health(BORROWER, &Moment { timestamp: NOW, prices: &market.prices }).unwrap();
        for (found, expected) in
            [(health.collateral.0, collateral), (health.debt.0, debt), (health.factor.0, factor)]
        {
            assert_eq!(found, expected.map_or(found, big));
        }
    }

    /// Asking for everything pays, seizes and leaves to the protocol these; `paid` is also the largest repay
    /// that is offered. `whole`: the call must name no size, since a side is emptied.
    fn everything(&self, paid: &str, seized: &str, fee: &str, whole: bool) {
        let (market, pair) = self.market();
        let outcome = attempt(&market, BORROWER, pair, U256::MAX, NOW).unwrap();
        let found = (outcome.repaid.0, outcome.seized.0, outcome.fee.0);
        assert_eq!(found, (big(paid), big(seized), big(fee)));
        assert_eq!(outcome.cover, if whole { U256::MAX } else { big(paid) });
        assert_eq!(offered(&market, BORROWER, pair, NOW).most.0, big(paid));
    }

    fn refused(&self, repay: U256, expected: Revert) {
        let (market, pair) = self.market();
        assert_eq!(attempt(&market, BORROWER, pair, repay, NOW), Err(expected));
    }
}

const HALF_OF_3_0: Case = Case {
    revision: R3_0,
    weth: "147500000000",
    indices: ("1000120401042781464041095890", "1000719335096361184691548359"),
    scaled: ("10000000000000000000", "12900000000"),
    bitcoin: 0,
};

#[test]
fn a0a_release_3_0_repays_half_of_the_debt_in_one_asset_half_up() {
    HALF_OF_3_0.health(Some("1475177591538"), Some("1290927942300"), Some("982744804843783108"));
    HALF_OF_3_0.everything("6454639712", "4572948134942372880", "21880134616949153", false);
}

const ALL_OF_3_0: Case = Case {
    revision: R3_0,
    weth: "142000000000",
    indices: ("1000120405061358393137050845", "1000719358136704189122728261"),
    scaled: ("10000000000000000000", "11999999741"),
    bitcoin: 3_700_004,
};

#[test]
fn a0b_release_3_0_repays_all_of_it_below_0_95() {
    ALL_OF_3_0.health(None, None, Some("938946407529665383"));
    ALL_OF_3_0.everything("12008632038", "8837338365992957747", "42283915626760563", true);
}

const EXHAUSTED_3_0: Case = Case {
    revision: R3_0,
    weth: "110000000000",
    indices: (RAY, RAY),
    scaled: ("5406375774909773649", "6454639937"),
    bitcoin: 0,
};

#[test]
fn a0c_release_3_0_takes_all_collateral_and_leaves_the_rest_of_the_debt() {
    EXHAUSTED_3_0.health(None, None, Some("792365109902179196"));
    EXHAUSTED_3_0.everything("5663822240", "5380631128362584251", "25744646547189398", true);
}

const HALF: Case = Case {
    revision: R3_6,
    weth: "147000000000",
    indices: ("1000010019015850779747080314", "1001196016899242087709746440"),
    scaled: ("9999975835146547377", "12997435774"),
    bitcoin: 0,
};

#[test]
fn a1_half_of_the_position_above_0_95() {
    HALF.health(Some("1470011175684"), Some("1301298092700"), Some("971498858086538099"));
    HALF.everything("6506490463", "4625362267914965985", "22130919942176871", false);
}

const DEEP: Case = Case {
    revision: R3_6,
    weth: "147000000000",
    indices: ("1000010019053079120606476710", "1001196021428836200937470181"),
    scaled: ("9999975834785713890", "13397356828"),
    bitcoin: 0,
};

#[test]
fn a2_all_of_the_debt_at_or_below_0_95() {
    DEEP.health(Some("1470011175685"), Some("1341338035400"), Some("942498891200159282"));
    DEEP.everything("13413380354", "9535362224442176870", "45623742700680272", true);
}

const EXHAUSTED: Case = Case {
    revision: R3_6,
    weth: "120000000000",
    indices: ("1000010019091445939502503977", "1001196025508720381463165957"),
    scaled: ("9999975834087138696", "12997435627"),
    bitcoin: 3_704_687,
};

#[test]
fn a3_all_of_the_collateral_with_debts_in_two_assets() {
    EXHAUSTED.health(Some("1200009122971"), Some("1401324638200"), Some("736451652688182928"));
    EXHAUSTED.everything("11428658314", "9952456615117765802", "47619409641711798", true);
}

const SMALL: Case = Case {
    revision: R3_6,
    weth: "147000000000",
    indices: ("1000010019131057650513653674", "1001196029158042923132530455"),
    scaled: ("999997583374885156", "1299743557"),
    bitcoin: 0,
};

#[test]
fn a4_all_of_the_debt_of_a_small_position() {
    SMALL.everything("1301298089", "925072451023809524", "4426183976190476", true);
}

#[test]
fn what_leaves_less_than_a_thousand_on_a_side_is_refused_and_what_leaves_just_that_is_not() {
    // Of 13,413.380354 owed all but 999.999999 and all but 1,000 are repaid.
    let (market, pair) = DEEP.market();
    DEEP.refused(big("12413380355"), Revert::Dust);
    let outcome = attempt(&market, BORROWER, pair, big("12413380354"), NOW).unwrap();
    assert_eq!((outcome.repaid.0, outcome.cover), (big("12413380354"), big("12413380354")));
    assert!(
        offered(&market, BORROWER, pair, NOW).kinks.contains(&outcome.repaid),
        "the bound is among the sizes"
    );
}

#[test]
fn a_healthy_account_offers_nothing() {
    let healthy = Case { weth: "180000000000", ..HALF };
    let (market, _) = healthy.market();
    let when = Moment { timestamp: NOW, prices: &market.prices };
    assert_eq!(market.opportunities(BORROWER, &[], &when), Ok(Err(Revert::Healthy)));
    healthy.refused(U256::MAX, Revert::Healthy);
}

#[test]
fn an_exact_0_95_is_deep_and_an_exact_one_is_healthy() {
    // Ten WETH at a threshold of 86 % are 8,600 for each 1,000 of price.
    let case = |debt: &'static str| Case {
        revision: R3_6,
        weth: "100000000000",
        indices: (RAY, RAY),
        scaled: ("10000000000000000000", debt),
        bitcoin: 0,
    };
    case("8600000000").health(None, None, Some("1000000000000000000"));
    case("8600000000").refused(U256::MAX, Revert::Healthy);
    let exact = Case { weth: "95000000000", ..case("8600000000") };
    exact.health(None, None, Some("950000000000000000"));
    let (market, pair) = exact.market();
    assert_eq!(attempt(&market, BORROWER, pair, U256::MAX, NOW).unwrap().repaid.0, big("8600000000"));
    let above = Case { weth: "95000000001", ..case("8600000000") };
    let (market, pair) = above.market();
    assert_eq!(attempt(&market, BORROWER, pair, U256::MAX, NOW).unwrap().repaid.0, big("4300000000"));
}
