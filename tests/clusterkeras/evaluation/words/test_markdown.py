from clusterkeras.evaluation.words.markdown import markdown_table


def test_a_table_has_a_rule_below_its_head_and_a_line_a_row():
    assert markdown_table(["", "N"], [["all", "3"], ["some", "12"]]) == (
        "|  | N |\n| --- | --- |\n| all | 3 |\n| some | 12 |"
    )
