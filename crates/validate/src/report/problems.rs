//! What is wrong with evidence, in Korean: alerts that are not accounted for, artefacts that are not there or damaged, dashboards that did
//! not answer. The larger sentences are `said`, which looks here first.

/// Whole phrases.
pub(super) const EXACT: &[(&str, &str)] = &[];

/// Phrases with figures; narrow ones before wide ones.
pub(super) const PATTERNS: &[(&str, &str)] = &[
    // Alerts, each accounted for.
    ("{#} alerts raised and never stored ({})", "발생했으나 저장소에 없는 알림 {0}건 ({1})"),
    ("{#} alerts without any delivery ({})", "전송 기록이 없는 알림 {0}건 ({1})"),
    (
        "{#} alerts given up and not taken over ({})",
        "전송을 포기한 뒤 다음 채널이 이어받지 않은 알림 {0}건 ({1})",
    ),
    (
        "{#} deliveries still open at the end ({}): neither delivered nor lost",
        "종료 시점에 끝나지 않은 전송 {0}건 ({1}): 전달되지도 유실되지도 않음",
    ),
    ("{#} deliveries cancelled by an operator", "운영자가 취소한 전송 {0}건"),
    ("what was raised is not known: {}", "발생한 알림을 알 수 없음: {0}"),
    (
        "{#} raised = {#} delivered + {#} dead + {#} throttled + {#} aggregated + {#} stored only + {}",
        "발생 {0}건 = 전달 {1} + DLQ {2} + 스로틀 {3} + 병합 {4} + 저장만 {5} + {6}",
    ),
    ("{#} open + {}", "미완료 {0} + {1}"),
    ("{#} cancelled + {}", "취소 {0} + {1}"),
    ("{#} given up + {}", "포기 {0} + {1}"),
    ("{#} open", "미완료 {0}"),
    ("{#} cancelled", "취소 {0}"),
    ("{#} given up", "포기 {0}"),
    ("{#} lost", "유실 {0}"),
];

#[cfg(test)]
mod tests {
    use super::super::said::korean;

    #[test]
    fn alerts_that_are_not_accounted_for_read_in_korean() {
        for (english, expected) in [
            (
                "1 alert raised and never stored (r1.main-2); DLQ 0, 0 in the table, 2 delivered; 3 raised = 1 delivered + 0 dead + 0 throttled + 0 aggregated + 0 stored only + 1 open + 1 lost",
                "발생했으나 저장소에 없는 알림 1건 (r1.main-2); DLQ 0, 테이블 0건, 전달 2건; 발생 3건 = 전달 1 + DLQ 0 + 스로틀 0 + 병합 0 + 저장만 0 + 미완료 1 + 유실 1",
            ),
            (
                "C4 not proven: 1 delivery still open at the end (telegram 1): neither delivered nor lost",
                "C4 증명되지 않음: 종료 시점에 끝나지 않은 전송 1건 (telegram 1): 전달되지도 유실되지도 않음",
            ),
            ("2 deliveries cancelled by an operator", "운영자가 취소한 전송 2건"),
        ] {
            assert_eq!(korean(english), expected);
        }
    }
}
